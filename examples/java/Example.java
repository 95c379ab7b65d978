// A tour of Remote Arrow with Apache Arrow's own Java client: upload, list, run, download, fail, delete.
//
//   mvn compile exec:exec -Durl=grpc://localhost:5005

import java.nio.charset.StandardCharsets;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.flight.Action;
import org.apache.arrow.flight.AsyncPutListener;
import org.apache.arrow.flight.Criteria;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;

public class Example {
    private static final String TABLE = "example-java";
    private static final String RESULT = "example-java-top";
    private static final int MAX_MESSAGE = 1 << 30;

    public static void main(String[] args) throws Exception {
        URI url = URI.create(args.length > 0 ? args[0] : "grpc://localhost:5005");
        Location location = Location.forGrpcInsecure(url.getHost(), url.getPort());
        try (BufferAllocator allocator = new RootAllocator();
                FlightClient client =
                        FlightClient.builder(allocator, location)
                                .maxInboundMessageSize(MAX_MESSAGE)
                                .build()) {
            upload(client, allocator);
            list(client);

            // A command runs on the server once; its result is a Flight that every client sees.
            String command =
                    """
                    {"from": {"name": "%s"}, "as": "%s", "if_exists": "replace", "do": [
                      {"sort_by": {"sorting": [["fare", "descending"]]}}, {"slice": {"length": 2}}]}
                    """
                            .formatted(TABLE, RESULT);
            FlightInfo info = client.getInfo(FlightDescriptor.command(utf8(command)));
            download(client, info.getEndpoints().get(0).getTicket());
            fail(client);
            delete(client, RESULT);
            delete(client, TABLE);
        }
    }

    /** Writes three rows under a name; they are on the server's disk when it returns. */
    private static void upload(FlightClient client, BufferAllocator allocator) {
        try (Float8Vector fare = new Float8Vector("fare", allocator);
                VarCharVector zone = new VarCharVector("zone", allocator);
                VectorSchemaRoot rows = VectorSchemaRoot.of(fare, zone)) {
            double[] fares = {7.5, 3.0, 52.0};
            String[] zones = {"A", "B", "C"};
            for (int i = 0; i < fares.length; i++) {
                fare.setSafe(i, fares[i]);
                zone.setSafe(i, utf8(zones[i]));
            }
            rows.setRowCount(fares.length);
            String put = "{\"put\": {\"name\": \"%s\", \"if_exists\": \"replace\"}}".formatted(TABLE);
            FlightClient.ClientStreamListener writer =
                    client.startPut(
                            FlightDescriptor.command(utf8(put)), rows, new AsyncPutListener());
            writer.putNext();
            writer.completed();
            writer.getResult(); // waits for the server's OK, or throws what it says instead
        }
    }

    private static void list(FlightClient client) {
        // Without criteria the numbers of Flights that are gone would be listed too.
        Criteria alive = new Criteria(utf8("{\"deleted\": false}"));
        boolean found = false;
        for (FlightInfo info : client.listFlights(alive)) {
            System.out.println("flight " + info.getDescriptor() + " " + info.getRecords() + " rows");
            found |= FlightDescriptor.path(TABLE).equals(info.getDescriptor());
        }
        check(found, TABLE + " is not in the list");
    }

    private static void download(FlightClient client, Ticket ticket) throws Exception {
        List<String> rows = new ArrayList<>();
        try (FlightStream stream = client.getStream(ticket)) {
            VectorSchemaRoot root = stream.getRoot(); // holds one batch after the other
            while (stream.next()) {
                for (int i = 0; i < root.getRowCount(); i++) {
                    rows.add(
                            root.getVector("fare").getObject(i)
                                    + " "
                                    + root.getVector("zone").getObject(i));
                }
            }
        }
        System.out.println("top " + rows);
        check(rows.equals(List.of("52.0 C", "7.5 A")), "not the rows that were expected");
    }

    /** Shows where the reason of an error is: JSON in the trailer `remote-arrow-error`. */
    private static void fail(FlightClient client) {
        try {
            client.getInfo(FlightDescriptor.path("no such table"));
        } catch (FlightRuntimeException e) {
            String fault = e.status().metadata().get("remote-arrow-error");
            System.out.println("error " + fault + ": " + e.status().description());
            check(
                    fault != null && fault.contains("\"FLIGHT_NOT_FOUND\""),
                    "not the reason that was expected");
            return;
        }
        check(false, "a table that is not there gave no error");
    }

    private static void delete(FlightClient client, String name) {
        Action action = new Action("delete", utf8("{\"name\": \"%s\"}".formatted(name)));
        client.doAction(action).forEachRemaining(result -> {});
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalStateException(otherwise);
        }
    }
}
