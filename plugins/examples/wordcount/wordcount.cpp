// Two handlers: word_count counts words, and slow_count shows progress, a log line, cancellation, and going on from
// where an earlier attempt was lost.
#include <cstdint>
#include <cstring>
#include <map>
#include <retire_cluster/plugin.hpp>
#include <sstream>
#include <string>

namespace rc = retire_cluster;

namespace {

std::map<std::string, int> count_words(const msgpack::object& payload, rc::Context&) {
  const rc::Fields fields(payload, {"text"});
  std::istringstream words{std::string(fields.text("text"))};
  std::map<std::string, int> counts;
  for (std::string word; words >> word;) ++counts[word];
  return counts;
}

// A class, as it keeps something between attempts.
class SlowCount {
 public:
  std::map<std::string, std::int64_t> run(const msgpack::object& payload, rc::Context& context) {
    const rc::Fields fields(payload, {"to", "delay"});
    const std::int64_t to = fields.integer("to", 1, 1'000'000);
    const double delay = fields.number_or("delay", 0.01, 0, 60);
    std::int64_t from = 0;
    if (const rc::Bytes saved = context.checkpoint(); saved.size() == sizeof from) {
      std::memcpy(&from, saved.data(), sizeof from);
      context.info("going on from " + std::to_string(from));
    }
    for (std::int64_t at = from; at < to; ++at) {
      if (context.wait(delay)) throw rc::Cancelled();
      context.progress(static_cast<double>(at + 1) / static_cast<double>(to), "counting");
      const std::int64_t done = at + 1;
      context.save_checkpoint(rc::Bytes(reinterpret_cast<const std::uint8_t*>(&done), sizeof done));
    }
    context.info("counted to " + std::to_string(to));
    return {{"counted", to}, {"attempts_here", ++attempts_}};
  }

 private:
  std::int64_t attempts_ = 0;
};

}  // namespace

RC_PLUGIN_MANIFEST(R"({
  "limits": {"memory_mb": 512},
  "handlers": {
    "word_count": {
      "type": "object", "required": ["text"], "additionalProperties": false,
      "properties": {"text": {"type": "string"}}
    },
    "slow_count": {
      "type": "object", "required": ["to"], "additionalProperties": false,
      "properties": {
        "to": {"type": "integer", "minimum": 1, "maximum": 1000000},
        "delay": {"type": ["number", "null"], "minimum": 0, "maximum": 60}
      }
    }
  }
})");

RC_PLUGIN("wordcount", "1.0.0",
          rc::handler("word_count", "Counts the words of a text",
                      [](const msgpack::object& payload, rc::Context& context) {
                        return count_words(payload, context);
                      }),
          rc::handler<SlowCount>("slow_count", "Counts slowly, with progress"));
