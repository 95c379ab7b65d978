// A tour of Remote Arrow with Apache Arrow's own Go client: upload, list, run, download, fail, delete.
//
//	go run . grpc://localhost:5005
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

const (
	table  = "example-go"
	result = "example-go-top"
	// gRPC's own default, 4 MiB, is less than a single large row may take.
	maxMessage = 1 << 30
)

func main() {
	location := "grpc://localhost:5005"
	if len(os.Args) > 1 {
		location = os.Args[1]
	}
	if err := run(location); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(location string) error {
	parsed, err := url.Parse(location)
	if err != nil {
		return err
	}
	client, err := flight.NewClientWithMiddleware(parsed.Host, nil, nil,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	if err := upload(ctx, client); err != nil {
		return err
	}
	if err := list(ctx, client); err != nil {
		return err
	}

	// A command runs on the server once; its result is a Flight that every client sees.
	command := fmt.Sprintf(`{"from": {"name": %q}, "as": %q, "if_exists": "replace", "do": [
		{"sort_by": {"sorting": [["fare", "descending"]]}}, {"slice": {"length": 2}}]}`, table, result)
	info, err := client.GetFlightInfo(ctx,
		&flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: []byte(command)})
	if err != nil {
		return err
	}
	if err := download(ctx, client, info.Endpoint[0].Ticket); err != nil {
		return err
	}
	if err := fail(ctx, client); err != nil {
		return err
	}
	return errors.Join(remove(ctx, client, result), remove(ctx, client, table))
}

// upload writes three rows under a name; they are on the server's disk when it returns nil.
func upload(ctx context.Context, client flight.Client) error {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "fare", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "zone", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer builder.Release()
	builder.Field(0).(*array.Float64Builder).AppendValues([]float64{7.5, 3, 52}, nil)
	builder.Field(1).(*array.StringBuilder).AppendValues([]string{"A", "B", "C"}, nil)
	batch := builder.NewRecordBatch()
	defer batch.Release()

	stream, err := client.DoPut(ctx)
	if err != nil {
		return err
	}
	put := fmt.Sprintf(`{"put": {"name": %q, "if_exists": "replace"}}`, table)
	writer := flight.NewRecordWriter(stream, ipc.WithSchema(schema))
	writer.SetFlightDescriptor(&flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: []byte(put)})
	// A refused upload shows as io.EOF in Write; the reason comes with Recv below.
	if err := errors.Join(writer.Write(batch), writer.Close()); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func list(ctx context.Context, client flight.Client) error {
	// Without criteria the numbers of Flights that are gone would be listed too.
	stream, err := client.ListFlights(ctx, &flight.Criteria{Expression: []byte(`{"deleted": false}`)})
	if err != nil {
		return err
	}
	var found bool
	for {
		info, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		path := info.GetFlightDescriptor().GetPath()
		fmt.Println("flight", path, info.GetTotalRecords(), "rows")
		found = found || slices.Equal(path, []string{table})
	}
	if !found {
		return fmt.Errorf("%s is not in the list", table)
	}
	return nil
}

func download(ctx context.Context, client flight.Client, ticket *flight.Ticket) error {
	stream, err := client.DoGet(ctx, ticket)
	if err != nil {
		return err
	}
	reader, err := flight.NewRecordReader(stream)
	if err != nil {
		return err
	}
	defer reader.Release()
	var rows []string
	for reader.Next() {
		batch := reader.RecordBatch()
		fares, zones := batch.Column(0).(*array.Float64), batch.Column(1).(*array.String)
		for i := range int(batch.NumRows()) {
			rows = append(rows, fmt.Sprintf("%g %s", fares.Value(i), zones.Value(i)))
		}
	}
	if err := reader.Err(); err != nil {
		return err
	}
	fmt.Println("top", rows)
	if !slices.Equal(rows, []string{"52 C", "7.5 A"}) {
		return errors.New("not the rows that were expected")
	}
	return nil
}

// fail shows where the reason of an error is: JSON in the trailer `remote-arrow-error`.
func fail(ctx context.Context, client flight.Client) error {
	var trailer metadata.MD
	_, err := client.GetFlightInfo(ctx,
		&flight.FlightDescriptor{Type: flight.DescriptorPATH, Path: []string{"no such table"}},
		grpc.Trailer(&trailer))
	if err == nil || len(trailer.Get("remote-arrow-error")) != 1 {
		return fmt.Errorf("a table that is not there gave %w", err)
	}
	var fault struct{ Reason, Name string }
	if err := json.Unmarshal([]byte(trailer.Get("remote-arrow-error")[0]), &fault); err != nil {
		return err
	}
	fmt.Printf("error %s (%s): %v\n", fault.Reason, fault.Name, err)
	if fault.Reason != "FLIGHT_NOT_FOUND" {
		return errors.New("not the reason that was expected")
	}
	return nil
}

func remove(ctx context.Context, client flight.Client, name string) error {
	body := fmt.Appendf(nil, `{"name": %q}`, name)
	stream, err := client.DoAction(ctx, &flight.Action{Type: "delete", Body: body})
	if err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
