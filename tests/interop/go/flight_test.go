package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func byName(name string) *flight.FlightDescriptor {
	return &flight.FlightDescriptor{Type: flight.DescriptorPATH, Path: []string{name}}
}

func byCommand(command string) *flight.FlightDescriptor {
	return &flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: []byte(command)}
}

// put uploads batches, each with its number as app_metadata, and reads each acknowledgement before
// it writes on, as the integration client does (F-22).
func put(ctx context.Context, client flight.Client, name string, batches []arrow.RecordBatch) error {
	stream, err := client.DoPut(ctx)
	if err != nil {
		return err
	}
	writer := flight.NewRecordWriter(stream, ipc.WithSchema(batches[0].Schema()))
	writer.SetFlightDescriptor(byName(name))
	for i, batch := range batches {
		note := []byte(fmt.Sprint(i))
		if err := writer.WriteWithAppMetadata(batch, note); err != nil {
			return giveUp(stream, err)
		}
		result, err := stream.Recv()
		if err != nil {
			return err
		}
		if !bytes.Equal(result.GetAppMetadata(), note) {
			return fmt.Errorf("batch %d was acknowledged with %q", i, result.GetAppMetadata())
		}
	}
	if err := writer.Close(); err != nil {
		return giveUp(stream, err)
	}
	return giveUp(stream, nil)
}

// giveUp sends no more and reads what the server still sends; its status counts more than the
// error of a write.
func giveUp(stream flight.FlightService_DoPutClient, failed error) error {
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); err != nil {
			if errors.Is(err, io.EOF) {
				return failed
			}
			return err
		}
	}
}

func mustPut(t *testing.T, client flight.Client, name string, batches ...arrow.RecordBatch) {
	t.Helper()
	if err := put(callContext(t), client, name, batches); err != nil {
		t.Fatal(err)
	}
}

// download reads the batches and their app_metadata from the location that the info gives.
func download(t *testing.T, info *flight.FlightInfo) ([]arrow.RecordBatch, []string) {
	t.Helper()
	endpoint := info.GetEndpoint()[0]
	location := strings.TrimPrefix(endpoint.GetLocation()[0].GetUri(), "grpc+tcp://")
	stream, err := connect(t, location).DoGet(callContext(t), endpoint.GetTicket())
	if err != nil {
		t.Fatal(err)
	}
	reader, err := flight.NewRecordReader(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	var batches []arrow.RecordBatch
	var notes []string
	for reader.Next() {
		batch := reader.RecordBatch()
		batch.Retain()
		batches = append(batches, batch)
		notes = append(notes, string(reader.LatestAppMetadata()))
	}
	if err := reader.Err(); err != nil {
		t.Fatal(err)
	}
	return batches, notes
}

func infoOf(t *testing.T, client flight.Client, descriptor *flight.FlightDescriptor) *flight.FlightInfo {
	t.Helper()
	info, err := client.GetFlightInfo(callContext(t), descriptor)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func assertSame(t *testing.T, got, sent []arrow.RecordBatch) {
	t.Helper()
	if len(got) != len(sent) {
		t.Fatalf("%d batches came back of %d", len(got), len(sent))
	}
	for i := range sent {
		if !got[i].Schema().Equal(sent[i].Schema()) {
			t.Fatalf("schema of batch %d differs:\n%s\n%s", i, got[i].Schema(), sent[i].Schema())
		}
		if !array.RecordEqual(got[i], sent[i]) {
			t.Fatalf("batch %d differs:\n%s\n%s", i, got[i], sent[i])
		}
	}
}

func TestTablesOfEveryTypeComeBackEqual(t *testing.T) {
	client := connect(t, serverAddress)
	for _, c := range columns() {
		t.Run(c.name, func(t *testing.T) {
			batch := batchOf(t, []column{c})
			sent := []arrow.RecordBatch{batch, batch.NewSlice(0, 0), batch.NewSlice(1, 3)}
			if strings.HasSuffix(c.name, "list view") {
				sent[2] = batch.NewSlice(0, 2) // arrow-go cannot write list views cut in front
			}
			mustPut(t, client, "type "+c.name, sent...)
			info := infoOf(t, client, byName("type "+c.name))
			if info.GetTotalRecords() != 5 {
				t.Fatalf("%d rows", info.GetTotalRecords())
			}
			got, notes := download(t, info)
			assertSame(t, got, sent)
			if strings.Join(notes, " ") != "0 1 2" {
				t.Fatalf("app_metadata: %q", notes)
			}
		})
	}
}

func TestAllTypesInOneTable(t *testing.T) {
	client := connect(t, serverAddress)
	batch := batchOf(t, columns())
	mustPut(t, client, "all types", batch)
	got, _ := download(t, infoOf(t, client, byName("all types")))
	assertSame(t, got, []arrow.RecordBatch{batch})
}

func TestLargeUploadFitsMessagesOfFourMegabytes(t *testing.T) {
	client := connect(t, serverAddress)
	builder := array.NewInt64Builder(memory.DefaultAllocator)
	for i := range int64(2_000_000) {
		builder.Append(i * i)
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	whole := array.NewRecordBatch(schema, []arrow.Array{builder.NewArray()}, 2_000_000)
	mustPut(t, client, "16 MB in one batch", whole)
	got, _ := download(t, infoOf(t, client, byName("16 MB in one batch")))
	table := array.NewTableFromRecords(schema, got)
	if !array.TableEqual(table, array.NewTableFromRecords(schema, []arrow.RecordBatch{whole})) {
		t.Fatal("what came back differs")
	}
}

func TestCommandsAnswerWithFlights(t *testing.T) {
	client := connect(t, serverAddress)
	batch := batchOf(t, []column{{"n", arrow.PrimitiveTypes.Int32, `[30, null, 10]`}})
	mustPut(t, client, "to be sorted", batch)
	command := `{"from": {"name": "to be sorted"}, "do": [{"sort_by": {"sorting": "n"}}]}`
	info := infoOf(t, client, byCommand(command))
	got, _ := download(t, info)
	want := batchOf(t, []column{{"n", arrow.PrimitiveTypes.Int32, `[10, 30, null]`}})
	assertSame(t, got, []arrow.RecordBatch{want})
	schema, err := client.GetSchema(callContext(t), byCommand(command))
	if err != nil {
		t.Fatal(err)
	}
	told, err := flight.DeserializeSchema(schema.GetSchema(), memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	if !told.Equal(want.Schema()) {
		t.Fatalf("schema told: %s", told)
	}
}

func TestFlightsAndActionsAreListed(t *testing.T) {
	client := connect(t, serverAddress)
	mustPut(t, client, "listed", batchOf(t, columns()[:3]))
	flights, err := client.ListFlights(callContext(t), &flight.Criteria{})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for position := 0; ; position++ {
		info, err := flights.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var about struct{ ID int }
		if err := json.Unmarshal(info.GetAppMetadata(), &about); err != nil {
			t.Fatal(err)
		}
		if about.ID != position {
			t.Fatalf("Flight %d is listed at position %d", about.ID, position)
		}
		path := info.GetFlightDescriptor().GetPath()
		found = found || (len(path) == 1 && path[0] == "listed")
	}
	if !found {
		t.Fatal("the upload is not listed")
	}
	actions, err := client.ListActions(callContext(t), &flight.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := actions.Recv(); err != nil || first.GetDescription() == "" {
		t.Fatalf("%v %v", first, err)
	}
}

func TestActionAnswersInJSON(t *testing.T) {
	client := connect(t, serverAddress)
	results, err := client.DoAction(callContext(t), &flight.Action{Type: "server-info"})
	if err != nil {
		t.Fatal(err)
	}
	result, err := results.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(result.GetBody()) {
		t.Fatalf("%q", result.GetBody())
	}
	if _, err := results.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than one result: %v", err)
	}
}

func TestErrorsCarryCodeMessageAndReason(t *testing.T) {
	client := connect(t, serverAddress)
	var trailer metadata.MD
	_, err := client.GetFlightInfo(callContext(t), byName("nobody"), grpc.Trailer(&trailer))
	if status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "nobody") {
		t.Fatal(err)
	}
	var told struct {
		Reason    string
		Retryable bool
	}
	if err := json.Unmarshal([]byte(trailer.Get("remote-arrow-error")[0]), &told); err != nil {
		t.Fatal(err)
	}
	if told.Reason != "FLIGHT_NOT_FOUND" || told.Retryable {
		t.Fatalf("%+v", told)
	}
	mustPut(t, client, "taken", batchOf(t, columns()[:2]))
	err = put(callContext(t), client, "taken", []arrow.RecordBatch{batchOf(t, columns()[:2])})
	if status.Code(err) != codes.AlreadyExists {
		t.Fatal(err)
	}
	results, err := client.DoAction(callContext(t), &flight.Action{Type: "fly"})
	if err == nil {
		_, err = results.Recv()
	}
	if status.Code(err) != codes.Unimplemented {
		t.Fatal(err)
	}
}

func TestUploadWithoutDescriptorIsRefused(t *testing.T) {
	client := connect(t, serverAddress)
	stream, err := client.DoPut(callContext(t))
	if err != nil {
		t.Fatal(err)
	}
	batch := batchOf(t, columns()[:2])
	writer := flight.NewRecordWriter(stream, ipc.WithSchema(batch.Schema()))
	failed := writer.Write(batch)
	if err := giveUp(stream, failed); status.Code(err) != codes.InvalidArgument {
		t.Fatal(err)
	}
}

func TestStreamedArgument(t *testing.T) {
	client := connect(t, serverAddress)
	mustPut(t, client, "rows", batchOf(t, []column{{"n", arrow.PrimitiveTypes.Int32, `[30, null, 10]`}}))
	stream, err := client.DoExchange(callContext(t))
	if err != nil {
		t.Fatal(err)
	}
	command := `{"from": {"name": "rows"}, "do": [{"take": {"indices": {"stream": true}}}]}`
	indices := batchOf(t, []column{{"i", arrow.PrimitiveTypes.Int64, `[2, 2, 0]`}})
	writer := flight.NewRecordWriter(stream, ipc.WithSchema(indices.Schema()))
	writer.SetFlightDescriptor(byCommand(command))
	if err := writer.Write(indices); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writer.Close(), stream.CloseSend()); err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(first.GetAppMetadata()) || len(first.GetDataHeader()) != 0 {
		t.Fatalf("first message: %v", first)
	}
	reader, err := flight.NewRecordReader(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	want := batchOf(t, []column{{"n", arrow.PrimitiveTypes.Int32, `[10, 10, 30]`}})
	if !reader.Next() || !array.RecordEqual(reader.RecordBatch(), want) || reader.Next() {
		t.Fatalf("answer: %v", reader.Err())
	}
}

func TestCancelledDownloadLeavesTheServerWell(t *testing.T) {
	client := connect(t, serverAddress)
	mustPut(t, client, "cancelled", batchOf(t, columns()[:5]))
	for range 20 {
		ctx, cancel := context.WithCancel(callContext(t))
		ticket := infoOf(t, client, byName("cancelled")).GetEndpoint()[0].GetTicket()
		if _, err := client.DoGet(ctx, ticket); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	infoOf(t, client, byName("cancelled"))
}

func TestHandshakeGivesATokenOnAnOpenServer(t *testing.T) {
	client := connect(t, serverAddress)
	ctx, err := client.AuthenticateBasicToken(callContext(t), "anybody", "anything")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.GetFlightInfo(ctx, byName("nobody")); status.Code(err) != codes.NotFound {
		t.Fatal(err)
	}
}
