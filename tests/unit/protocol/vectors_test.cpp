// Runs every vector of tests/protocol/*.json: what is valid is read as written there, what is not is refused with its
// code.
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "common/protocol/codec.hpp"

namespace retire::protocol {
namespace {

using Json = nlohmann::json;

std::string from_hex(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return out;
}

std::string known_elements(ByteView logs) {
  std::vector<LogLine> lines;
  EXPECT_TRUE(decode_log_lines(logs, lines).ok());
  return encode_log_lines(lines);
}

// Decodes a body and writes it again, so that what was understood can be compared.
Status read_and_write(const Envelope& envelope, std::string& out) {
  const auto again = [&](auto message) -> Status {
    if (Status status = decode(envelope.body, message); !status.ok()) return status;
    encode(out, envelope.correlation, message);
    return ok_status();
  };
  switch (envelope.type) {
    case MessageType::Hello: return again(Hello{});
    case MessageType::Welcome: return again(Welcome{});
    case MessageType::Heartbeat: return again(Heartbeat{});
    case MessageType::Error: return again(ErrorReply{});
    case MessageType::Submitted: return again(Submitted{});
    case MessageType::Get: return again(Get{});
    case MessageType::List: return again(List{});
    case MessageType::Tasks: return again(Tasks{});
    case MessageType::Cancelled:
    case MessageType::Retried: {
      Cancelled message;
      if (Status status = decode(envelope.body, to_string(envelope.type), message); !status.ok()) return status;
      encode(out, envelope.type, envelope.correlation, message);
      return ok_status();
    }
    case MessageType::Queue: return again(QueueControl{});
    case MessageType::Device: return again(DeviceControl{});
    case MessageType::Why: return again(Why{});
    case MessageType::Devices: return again(Devices{});
    case MessageType::DeviceUpdate: return again(DeviceUpdate{});
    case MessageType::Logs: return again(Logs{});
    case MessageType::LogLines: return again(LogLines{});
    case MessageType::Progress: {
      Progress message;
      if (Status status = decode(envelope.body, message); !status.ok()) return status;
      std::deque<std::string> known;
      for (ProgressItem& item : message.attempts) item.logs = known.emplace_back(known_elements(item.logs));
      encode(out, envelope.correlation, message);
      return ok_status();
    }
    case MessageType::Wait:
    case MessageType::Waiting:
    case MessageType::Forget:
    case MessageType::Retry:
    case MessageType::Cancel: {
      TaskIds message;
      const auto key = envelope.type == MessageType::Waiting ? "unknown" : "ids";
      if (Status status = decode_ids(envelope.body, key, message); !status.ok()) return status;
      encode_ids(out, envelope.type, envelope.correlation, message.ids);
      return ok_status();
    }
    case MessageType::Started:
    case MessageType::Recall:
    case MessageType::Returned:
    case MessageType::Stop: {
      AttemptIds message;
      if (Status status = decode_attempts(envelope.body, message); !status.ok()) return status;
      encode_attempts(out, envelope.type, envelope.correlation, message.attempts);
      return ok_status();
    }
    case MessageType::Goodbye:
    case MessageType::Ack:
    case MessageType::Drain:
    case MessageType::Done:
    case MessageType::Stats:
      if (Status status = decode_empty(envelope.body); !status.ok()) return status;
      encode_empty(out, envelope.type, envelope.correlation);
      return ok_status();
    case MessageType::Explained:
    case MessageType::Statistics:
    case MessageType::DeviceList: {
      const std::string key = envelope.type == MessageType::Explained    ? "explanation"
                              : envelope.type == MessageType::Statistics ? "statistics"
                                                                         : "devices";
      Report message;
      if (Status status = decode_report(envelope.body, key, message); !status.ok()) return status;
      const std::string type(to_string(envelope.type));
      const Json frame = {1, type, envelope.correlation, {{key, Json::from_msgpack(message.value)}}};
      const std::vector<std::uint8_t> bytes = Json::to_msgpack(frame);
      out.assign(bytes.begin(), bytes.end());
      return ok_status();
    }
    case MessageType::Submit: {
      Submit message;
      if (Status status = decode(envelope.body, message); !status.ok()) return status;
      SubmitBatch batch(message.notify);
      for (const TaskSpec& spec : message.specs) batch.add_spec(spec);
      for (const SubmitItem& item : message.tasks) batch.add(item.id, item.spec, item.payload, item.metadata);
      out = batch.take(envelope.correlation);
      return ok_status();
    }
    case MessageType::Results: {
      Results message;
      if (Status status = decode(envelope.body, message); !status.ok()) return status;
      ResultsBatch batch;
      for (const std::string_view device : message.devices) batch.add_device(device);
      for (ResultItem& item : message.results) {
        const std::string logs = known_elements(item.logs);
        item.logs = logs;
        batch.add(item);
      }
      out = batch.take(envelope.correlation);
      return ok_status();
    }
    case MessageType::Assign: {
      Assign message;
      if (Status status = decode(envelope.body, message); !status.ok()) return status;
      AssignBatch batch;
      for (const AssignSpec& spec : message.specs) batch.add_spec(spec);
      for (const AssignItem& item : message.tasks) batch.add(item);
      out = batch.take(envelope.correlation);
      return ok_status();
    }
    case MessageType::Finished: {
      Finished message;
      if (Status status = decode(envelope.body, message); !status.ok()) return status;
      FinishedBatch batch;
      for (FinishedItem& item : message.results) {
        const std::string logs = known_elements(item.logs);
        item.logs = logs;
        batch.add(item);
      }
      out = batch.take(envelope.correlation);
      return ok_status();
    }
  }
  return Error{ErrorCode::Internal, "no such type"};
}

// nlohmann's binary values as {"$bin": hex}; items without what is empty at their end.
Json readable(const Json& value) {
  if (value.is_binary()) {
    std::string hex;
    for (const std::uint8_t byte : value.get_binary()) {
      hex.push_back("0123456789abcdef"[byte >> 4]);
      hex.push_back("0123456789abcdef"[byte & 15]);
    }
    return {{"$bin", hex}};
  }
  if (value.is_object()) {
    Json out = Json::object();
    for (const auto& [key, member] : value.items()) out[key] = readable(member);
    return out;
  }
  if (value.is_array()) {
    Json out = Json::array();
    for (const Json& member : value) out.push_back(readable(member));
    return out;
  }
  return value;
}

// `read` may say more than `wanted` only by keys that are optional and have their defaults, or (in what is kept as it
// came) are unknown; and by what is empty at the end of an item.
::testing::AssertionResult says(const Json& wanted, const Json& read, const std::string& path) {
  const auto differ = [&] {
    return ::testing::AssertionFailure() << path << ": wanted " << wanted.dump() << ", read " << read.dump();
  };
  if (wanted.is_object()) {
    if (!read.is_object()) return differ();
    for (const auto& [key, value] : wanted.items()) {
      // What is false, nil or empty may be left out.
      if (!read.contains(key) && (value.is_null() || value == false || (value.is_structured() && value.empty())))
        continue;
      if (!read.contains(key)) return differ();
      if (key == "code" && !parse_error_code(value.get<std::string>())) {
        EXPECT_EQ(read[key], "internal") << "a code of a newer main";
        continue;
      }
      if (key == "required_tags" || key == "tags" || key == "handlers") {
        if (value.get<std::set<std::string>>() != read[key].get<std::set<std::string>>()) return differ();
        continue;
      }
      if (auto result = says(value, read[key], path + "." + key); !result) return result;
    }
    return ::testing::AssertionSuccess();
  }
  if (wanted.is_array()) {
    if (!read.is_array() || read.size() < wanted.size()) return differ();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (auto result = says(wanted[i], read[i], path + "[" + std::to_string(i) + "]"); !result) return result;
    }
    for (std::size_t i = wanted.size(); i < read.size(); ++i) {
      if (!read[i].is_null() && !(read[i].is_array() && read[i].empty())) return differ();
    }
    return ::testing::AssertionSuccess();
  }
  if (wanted.is_number() && read.is_number()) {
    return wanted.get<double>() == read.get<double>() &&
                   !(wanted.is_number_integer() && read.is_number_integer() && wanted != read)
               ? ::testing::AssertionSuccess()
               : differ();
  }
  return wanted == read ? ::testing::AssertionSuccess() : differ();
}

void run(const Json& vector) {
  const std::string frame = from_hex(vector["hex"]);
  std::uint64_t correlation = 0;
  std::string again;
  const Result<Envelope> envelope = decode_envelope(frame, correlation);
  const Status status = envelope.ok() ? read_and_write(envelope.value(), again) : Status(envelope.error());
  if (vector.contains("error")) {
    ASSERT_FALSE(status.ok()) << "was read";
    EXPECT_EQ(to_string(status.error().code), vector["error"].get<std::string>()) << status.error().detail;
    return;
  }
  ASSERT_TRUE(status.ok()) << status.error().detail;
  const Json read = readable(Json::from_msgpack(again));
  const Json& wanted = vector["reading"];
  EXPECT_EQ(read[1], wanted["type"]);
  EXPECT_EQ(read[2].get<std::uint64_t>(), wanted["correlation"].get<std::uint64_t>());
  EXPECT_TRUE(says(wanted["body"], read[3], "body"));
}

TEST(ProtocolVectors, AreReadAndRefusedAsWritten) {
  std::size_t valid = 0;
  std::size_t invalid = 0;
  for (const auto& entry : std::filesystem::directory_iterator(RC_SOURCE_DIR "/tests/protocol")) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream in(entry.path());
    const Json file = Json::parse(in);
    for (const Json& vector : file["vectors"]) {
      SCOPED_TRACE(entry.path().filename().string() + ": " + vector["name"].get<std::string>());
      ++(vector.contains("error") ? invalid : valid);
      run(vector);
    }
  }
  EXPECT_GE(valid, 60u);
  EXPECT_GE(invalid, 100u);
}

}  // namespace
}  // namespace retire::protocol
