// Two handlers: word_count counts words, and slow_count shows progress, a log line and cancellation.
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
    for (std::int64_t at = 0; at < to; ++at) {
      if (context.wait(delay)) throw rc::Cancelled();
      context.progress(static_cast<double>(at + 1) / static_cast<double>(to), "counting");
    }
    context.info("counted to " + std::to_string(to));
    return {{"counted", to}, {"attempts_here", ++attempts_}};
  }

 private:
  std::int64_t attempts_ = 0;
};

}  // namespace

RC_PLUGIN("wordcount", "1.0.0",
          rc::handler("word_count", "Counts the words of a text",
                      [](const msgpack::object& payload, rc::Context& context) {
                        return count_words(payload, context);
                      }),
          rc::handler<SlowCount>("slow_count", "Counts slowly, with progress"));
