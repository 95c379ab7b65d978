// A tour of Remote Arrow with Apache Arrow's own C++ client: upload, list, run, download, fail, delete.
//
//   make run URL=grpc://localhost:5005

#include <arrow/api.h>
#include <arrow/flight/api.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace flight = arrow::flight;

static const std::string kTable = "example-cpp";
static const std::string kResult = "example-cpp-top";

static arrow::Result<std::shared_ptr<arrow::Table>> Rows(const std::vector<double>& fares,
                                                         const std::vector<std::string>& zones) {
  arrow::DoubleBuilder fare;
  arrow::StringBuilder zone;
  ARROW_RETURN_NOT_OK(fare.AppendValues(fares));
  ARROW_RETURN_NOT_OK(zone.AppendValues(zones));
  ARROW_ASSIGN_OR_RAISE(auto fare_array, fare.Finish());
  ARROW_ASSIGN_OR_RAISE(auto zone_array, zone.Finish());
  auto schema = arrow::schema({arrow::field("fare", arrow::float64()),
                               arrow::field("zone", arrow::utf8())});
  return arrow::Table::Make(schema, {fare_array, zone_array});
}

// Writes three rows under a name; they are on the server's disk when it returns OK.
static arrow::Status Upload(flight::FlightClient& client) {
  ARROW_ASSIGN_OR_RAISE(auto table, Rows({7.5, 3.0, 52.0}, {"A", "B", "C"}));
  auto put = R"({"put": {"name": ")" + kTable + R"(", "if_exists": "replace"}})";
  ARROW_ASSIGN_OR_RAISE(
      auto stream, client.DoPut(flight::FlightDescriptor::Command(put), table->schema()));
  ARROW_RETURN_NOT_OK(stream.writer->WriteTable(*table));
  return stream.writer->Close();  // waits for the server's OK, or returns what it says instead
}

static arrow::Status List(flight::FlightClient& client) {
  bool found = false;
  // Without criteria the numbers of Flights that are gone would be listed too.
  ARROW_ASSIGN_OR_RAISE(auto flights, client.ListFlights({}, {R"({"deleted": false})"}));
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto info, flights->Next());
    if (info == nullptr) break;
    std::cout << "flight " << info->descriptor().ToString() << " " << info->total_records()
              << " rows\n";
    found = found || info->descriptor() == flight::FlightDescriptor::Path({kTable});
  }
  return found ? arrow::Status::OK() : arrow::Status::Invalid(kTable, " is not in the list");
}

static arrow::Status Download(flight::FlightClient& client, const flight::Ticket& ticket) {
  ARROW_ASSIGN_OR_RAISE(auto stream, client.DoGet(ticket));
  ARROW_ASSIGN_OR_RAISE(auto table, stream->ToTable());
  ARROW_ASSIGN_OR_RAISE(auto expected, Rows({52.0, 7.5}, {"C", "A"}));
  std::cout << "top " << table->ToString() << "\n";
  return table->Equals(*expected) ? arrow::Status::OK()
                                  : arrow::Status::Invalid("not the rows that were expected");
}

// Collects the trailer `remote-arrow-error` of a call: the client hands trailers to middleware only.
class ReasonReader : public flight::ClientMiddleware, public flight::ClientMiddlewareFactory {
 public:
  explicit ReasonReader(std::string* reason) : reason_(reason) {}
  void StartCall(const flight::CallInfo&,
                 std::unique_ptr<flight::ClientMiddleware>* middleware) override {
    *middleware = std::make_unique<ReasonReader>(reason_);
  }
  void SendingHeaders(flight::AddCallHeaders*) override {}
  void ReceivedHeaders(const flight::CallHeaders& headers) override {
    auto found = headers.find("remote-arrow-error");
    if (found != headers.end()) *reason_ = std::string(found->second);
  }
  void CallCompleted(const arrow::Status&) override {}

 private:
  std::string* reason_;
};

static arrow::Status Fail(flight::FlightClient& client, const std::string& reason) {
  auto missing = client.GetFlightInfo(flight::FlightDescriptor::Path({"no such table"}));
  std::cout << "error " << reason << ": " << missing.status().message() << "\n";
  return reason.find("\"FLIGHT_NOT_FOUND\"") != std::string::npos && !missing.ok()
             ? arrow::Status::OK()
             : arrow::Status::Invalid("not the reason that was expected");
}

static arrow::Status Delete(flight::FlightClient& client, const std::string& name) {
  auto body = arrow::Buffer::FromString(R"({"name": ")" + name + R"("})");
  ARROW_ASSIGN_OR_RAISE(auto results, client.DoAction(flight::Action{"delete", body}));
  return results->Drain();
}

static arrow::Status Run(const std::string& url) {
  std::string reason;
  auto options = flight::FlightClientOptions::Defaults();
  options.middleware.push_back(std::make_shared<ReasonReader>(&reason));
  ARROW_ASSIGN_OR_RAISE(auto location, flight::Location::Parse(url));
  ARROW_ASSIGN_OR_RAISE(auto client, flight::FlightClient::Connect(location, options));
  ARROW_RETURN_NOT_OK(Upload(*client));
  ARROW_RETURN_NOT_OK(List(*client));

  // A command runs on the server once; its result is a Flight that every client sees.
  auto command = R"({"from": {"name": ")" + kTable + R"("}, "as": ")" + kResult +
                 R"(", "if_exists": "replace", "do": [
      {"sort_by": {"sorting": [["fare", "descending"]]}}, {"slice": {"length": 2}}]})";
  ARROW_ASSIGN_OR_RAISE(auto info,
                        client->GetFlightInfo(flight::FlightDescriptor::Command(command)));
  ARROW_RETURN_NOT_OK(Download(*client, info->endpoints()[0].ticket));
  ARROW_RETURN_NOT_OK(Fail(*client, reason));
  ARROW_RETURN_NOT_OK(Delete(*client, kResult));
  return Delete(*client, kTable);
}

int main(int argc, char** argv) {
  auto status = Run(argc > 1 ? argv[1] : "grpc://localhost:5005");
  if (!status.ok()) std::cerr << status.ToString() << "\n";
  return status.ok() ? 0 : 1;
}
