// How attempts and tasks have ended: finished, from workers; results, to clients.
#include "common/protocol/codec.hpp"
#include "common/protocol/packer.hpp"
#include "common/protocol/reading.hpp"
#include "common/protocol/values.hpp"

namespace retire::protocol {
namespace {

// The tail that results and finished items share: error_message, traceback, logs.
template <class Item>
void read_error_tail(Reader& in, std::uint32_t count, std::uint32_t known, Item& item) {
  if (count > known) item.error_message = text_or_nil(in, kErrorMessageBytesMax);
  if (count > known + 1) item.traceback = text_or_nil(in, kTracebackBytesMax);
  if (count > known + 2) item.logs = read_log_lines(in);
}

// What ran each item of a message: its place in the table, which may come after the items.
class PluginPlaces {
 public:
  void read_table(Reader& in) {
    const std::uint32_t count = in.array(kBatchItemsMax);
    for (std::uint32_t i = 0; i < count && !in.failed(); ++i) names_.push_back(in.text(kPluginIdentityBytesMax));
    in.leave();
  }
  // Of the next item; nothing if it ends before.
  void read_place(Reader& in, bool there) {
    std::uint32_t place = kLeftOut;
    if (there && in.is_nil()) {
      in.nil();
    } else if (there) {
      place = static_cast<std::uint32_t>(in.integer(kLeftOut - 1));
    }
    places_.push_back(place);
  }
  template <class Item>
  std::optional<Error> resolve(std::vector<Item>& items) const {
    for (std::size_t i = 0; i < items.size() && i < places_.size(); ++i) {
      items[i].plugin = {};
      if (places_[i] == kLeftOut && names_.empty()) continue;
      const std::size_t place = places_[i] == kLeftOut ? 0 : places_[i];
      if (place >= names_.size()) {
        return Error{ErrorCode::Invalid, "results[" + std::to_string(i) + "]: no such plugin index"};
      }
      items[i].plugin = names_[place];
    }
    return std::nullopt;
  }

 private:
  static constexpr std::uint32_t kLeftOut = UINT32_MAX;
  std::vector<std::string_view> names_;
  std::vector<std::uint32_t> places_;
};

// Left out when it is empty.
void pack_plugins(Packer& out, const PluginTable& plugins) {
  if (plugins.names().empty()) return;
  out.text("plugins");
  out.array(plugins.names().size());
  for (const std::string& name : plugins.names()) out.text(name);
}

}  // namespace

std::optional<std::uint32_t> PluginTable::place_of(std::string_view plugin, bool bare) {
  plugin = cut(plugin, kPluginIdentityBytesMax);
  if (names_.empty()) {
    if (plugin.empty()) return std::nullopt;
    if (bare) names_.emplace_back();  // the empty name, which the items before mean
  }
  std::size_t place = 0;
  while (place < names_.size() && names_[place] != plugin) ++place;
  if (place == names_.size()) names_.emplace_back(plugin);
  return place == 0 ? std::nullopt : std::optional(static_cast<std::uint32_t>(place));
}

Status decode(ByteView body, Finished& out) {
  out.results.clear();
  PluginPlaces plugins;
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("results")) {
      const auto read_result = [&](FinishedItem& item) {
        const std::uint32_t count = open_item(in, 5);
        item.task = in.uuid();
        item.attempt = in.attempt();
        const std::uint64_t outcome = in.integer();
        if (!in.failed() && (outcome < 1 || outcome > 7)) {
          in.fail(ErrorCode::Invalid, "is no outcome: " + std::to_string(outcome));
        }
        item.outcome = static_cast<Outcome>(outcome);
        item.data = binary_or_nil(in, kResultBytesMax);
        item.run = read_us(in);
        read_error_tail(in, count, 5, item);
        if (count > 8) item.checkpoint = read_checkpoint(in);
        plugins.read_place(in, count > 9);
        skip_rest(in, count, 10);
        in.leave();
      };
      if (auto error = read_items(in, "results", out.results, read_result)) return *error;
    } else if (fields.is("plugins")) {
      plugins.read_table(in);
    } else {
      fields.skip();
    }
  }
  fields.require({"results"});
  if (in.failed()) return finish(in);
  if (auto error = plugins.resolve(out.results)) return *error;
  return finish(in);
}

void FinishedBatch::add(const FinishedItem& item) {
  Packer out(items_);
  const std::optional<std::uint32_t> plugin = plugins_.place_of(item.plugin, count_ > 0);
  const bool checkpoint = !item.checkpoint.empty() || plugin;
  const bool tail = !item.error_message.empty() || !item.traceback.empty() || !item.logs.empty() || checkpoint;
  out.array(plugin ? 10 : checkpoint ? 9 : tail ? 8 : 5);
  out.uuid(item.task);
  out.integer(item.attempt.value());
  out.integer(static_cast<std::uint64_t>(item.outcome));
  pack_data(out, item.data);
  out.integer(static_cast<std::uint64_t>(item.run.count()));
  if (tail) {
    out.text_or_nil(cut(item.error_message, kErrorMessageBytesMax));
    out.text_or_nil(cut(item.traceback, kTracebackBytesMax));
    pack_logs(out, item.logs);
  }
  if (checkpoint) item.checkpoint.empty() ? out.nil() : out.binary(item.checkpoint);
  if (plugin) out.integer(*plugin);
  ++count_;
}

std::string FinishedBatch::take(std::uint64_t correlation) {
  std::string bytes;
  bytes.reserve(items_.size() + kWordBytesMax + plugins_.names().size() * kPluginIdentityBytesMax);
  Packer out(bytes);
  pack_envelope(out, MessageType::Finished, correlation);
  out.map(plugins_.names().empty() ? 1 : 2);
  pack_plugins(out, plugins_);
  out.text("results");
  out.array(count_);
  out.raw(items_);
  plugins_.clear();
  items_.clear();
  count_ = 0;
  return bytes;
}

Status decode(ByteView body, Results& out) {
  out.devices.clear();
  out.results.clear();
  PluginPlaces plugins;
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("devices")) {
      const auto read_name = [&](std::string_view& name) {
        name = in.text(kDeviceIdBytesMax);
        if (!in.failed() && !is_device_id(name)) in.fail(ErrorCode::Invalid, "is no device ID");
      };
      if (auto error = read_items(in, "devices", out.devices, read_name)) return *error;
    } else if (fields.is("results")) {
      const auto read_result = [&](ResultItem& item) {
        const std::uint32_t count = open_item(in, 7);
        item.id = in.uuid();
        const std::uint64_t status = in.integer();
        if (!in.failed() && status >= kTaskStatusCount) {
          in.fail(ErrorCode::Invalid, "is no status: " + std::to_string(status));
        }
        item.status = static_cast<TaskStatus>(status);
        item.data = binary_or_nil(in, kResultBytesMax);
        if (in.is_nil()) {
          in.nil();
        } else {
          item.device = static_cast<std::uint32_t>(in.integer(UINT32_MAX));
        }
        item.started_at = read_time(in);
        item.completed_at = WallTime(Duration(in.signed_integer()));
        item.run = read_us(in);
        read_error_tail(in, count, 7, item);
        plugins.read_place(in, count > 10);
        skip_rest(in, count, 11);
        in.leave();
      };
      if (auto error = read_items(in, "results", out.results, read_result)) return *error;
    } else if (fields.is("plugins")) {
      plugins.read_table(in);
    } else {
      fields.skip();
    }
  }
  fields.require({"devices", "results"});
  for (std::size_t i = 0; i < out.results.size() && !in.failed(); ++i) {
    if (out.results[i].device && *out.results[i].device >= out.devices.size()) {
      return Error{ErrorCode::Invalid, "results[" + std::to_string(i) + "]: no such device index"};
    }
  }
  if (in.failed()) return finish(in);
  if (auto error = plugins.resolve(out.results)) return *error;
  return finish(in);
}

std::uint32_t ResultsBatch::add_device(std::string_view device_id) {
  Packer out(devices_);
  out.text(device_id);
  return device_count_++;
}

void ResultsBatch::add(const ResultItem& item) {
  Packer out(items_);
  const std::optional<std::uint32_t> plugin = plugins_.place_of(item.plugin, count_ > 0);
  const bool tail = !item.error_message.empty() || !item.traceback.empty() || !item.logs.empty() || plugin;
  out.array(plugin ? 11 : tail ? 10 : 7);
  out.uuid(item.id);
  out.integer(static_cast<std::uint64_t>(item.status));
  pack_data(out, item.data);
  item.device ? out.integer(*item.device) : out.nil();
  out.time(item.started_at);
  out.signed_integer(item.completed_at.time_since_epoch().count());
  out.integer(static_cast<std::uint64_t>(item.run.count()));
  if (tail) {
    out.text_or_nil(item.error_message);
    out.text_or_nil(item.traceback);
    pack_logs(out, item.logs);
  }
  if (plugin) out.integer(*plugin);
  ++count_;
}

std::string ResultsBatch::take(std::uint64_t correlation) {
  std::string bytes;
  bytes.reserve(items_.size() + devices_.size() + kWordBytesMax + plugins_.names().size() * kPluginIdentityBytesMax);
  Packer out(bytes);
  pack_envelope(out, MessageType::Results, correlation);
  out.map(plugins_.names().empty() ? 2 : 3);
  pack_plugins(out, plugins_);
  out.text("devices");
  out.array(device_count_);
  out.raw(devices_);
  out.text("results");
  out.array(count_);
  out.raw(items_);
  devices_.clear();
  plugins_.clear();
  items_.clear();
  device_count_ = 0;
  count_ = 0;
  return bytes;
}

}  // namespace retire::protocol
