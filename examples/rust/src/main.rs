//! A tour of Remote Arrow with Apache Arrow's own Rust client: upload, list, run, download, fail, delete.
//!
//!     cargo run -- grpc://localhost:5005

use std::error::Error;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_cast::pretty::pretty_format_batches;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightClient, FlightDescriptor, Ticket};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tonic::transport::Channel;

const TABLE: &str = "example-rust";
const RESULT: &str = "example-rust-top";
/// tonic's own default, 4 MiB, is less than a single large row may take.
const MAX_MESSAGE_BYTES: usize = 1 << 30;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or("grpc://localhost:5005".into());
    // tonic knows the scheme http only; it means HTTP/2 without TLS, as grpc does.
    let channel = Channel::from_shared(url.replacen("grpc", "http", 1))?
        .connect()
        .await?;
    let service = FlightServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut client = FlightClient::new_from_inner(service);

    upload(&mut client).await?;
    list(&mut client).await?;

    // A command runs on the server once; its result is a Flight that every client sees.
    let command = json!({
        "from": {"name": TABLE}, "as": RESULT, "if_exists": "replace",
        "do": [{"sort_by": {"sorting": [["fare", "descending"]]}}, {"slice": {"length": 2}}],
    });
    let info = client
        .get_flight_info(FlightDescriptor::new_cmd(command.to_string()))
        .await?;
    let ticket = info.endpoint[0].ticket.clone().ok_or("no ticket")?;
    download(&mut client, ticket).await?;
    fail(&mut client).await?;
    delete(&mut client, RESULT).await?;
    delete(&mut client, TABLE).await
}

fn rows(fares: Vec<f64>, zones: Vec<&str>) -> Outcome<RecordBatch> {
    let fares: ArrayRef = Arc::new(Float64Array::from(fares));
    let zones: ArrayRef = Arc::new(StringArray::from(zones));
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("fare", fares, true),
        ("zone", zones, true),
    ])?)
}

/// Writes three rows under a name; they are on the server's disk when it returns.
async fn upload(client: &mut FlightClient) -> Outcome {
    let put = json!({"put": {"name": TABLE, "if_exists": "replace"}});
    let batch = rows(vec![7.5, 3.0, 52.0], vec!["A", "B", "C"])?;
    let messages = FlightDataEncoderBuilder::new()
        .with_schema(batch.schema()) // so that a table without batches is one too
        .with_flight_descriptor(Some(FlightDescriptor::new_cmd(put.to_string())))
        .build(stream::iter([Ok(batch)]));
    // The call is done when the answers end, not when they begin.
    client
        .do_put(messages)
        .await?
        .try_collect::<Vec<_>>()
        .await?;
    Ok(())
}

async fn list(client: &mut FlightClient) -> Outcome {
    let mut found = false;
    // Without criteria the numbers of Flights that are gone would be listed too.
    let alive = json!({"deleted": false}).to_string();
    let mut flights = client.list_flights(alive).await?;
    while let Some(info) = flights.next().await.transpose()? {
        let path = info.flight_descriptor.map(|d| d.path).unwrap_or_default();
        println!("flight {path:?} {} rows", info.total_records);
        found |= path == [TABLE];
    }
    if found {
        Ok(())
    } else {
        Err(format!("{TABLE} is not in the list").into())
    }
}

async fn download(client: &mut FlightClient, ticket: Ticket) -> Outcome {
    let batches: Vec<RecordBatch> = client.do_get(ticket).await?.try_collect().await?;
    println!("{}", pretty_format_batches(&batches)?);
    if batches != [rows(vec![52.0, 7.5], vec!["C", "A"])?] {
        return Err("not the rows that were expected".into());
    }
    Ok(())
}

/// Shows where the reason of an error is: JSON in the trailer `remote-arrow-error`.
async fn fail(client: &mut FlightClient) -> Outcome {
    let descriptor = FlightDescriptor::new_path(vec!["no such table".into()]);
    let Err(FlightError::Tonic(status)) = client.get_flight_info(descriptor).await else {
        return Err("a table that is not there gave no error".into());
    };
    let trailer = status
        .metadata()
        .get("remote-arrow-error")
        .ok_or("no trailer")?;
    let fault: Value = serde_json::from_slice(trailer.as_bytes())?;
    println!("error {fault}: {}", status.message());
    if fault["reason"] != "FLIGHT_NOT_FOUND" {
        return Err("not the reason that was expected".into());
    }
    Ok(())
}

async fn delete(client: &mut FlightClient, name: &str) -> Outcome {
    let action = Action::new("delete", json!({"name": name}).to_string());
    client
        .do_action(action)
        .await?
        .try_collect::<Vec<_>>()
        .await?;
    Ok(())
}
