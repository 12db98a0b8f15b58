// What the core wants done. The shell does it in the order of the members: results first, messages last.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "common/model/messages.hpp"
#include "worker/core/attempt.hpp"

namespace retire::worker {

// A result for main. Its views live as long as those of the event that brought it, or as Effects::texts: it is to be
// encoded before the next event.
struct Outgoing {
  std::uint64_t batch = 0;  // its message, which is this one's correlation too
  FinishedItem item;
};

// One attempt for a host. Payload and checkpoint live until the core lets go of the attempt: they are to be
// copied at once.
struct Run {
  Sequence sequence = 0;
  TaskId task;
  std::uint32_t number = 1;
  Duration timeout{};
  ByteView payload;
  ByteView checkpoint{};
};

// Attempts of one type for the host of one slot: `count` of Effects::runs from `first`.
struct Handover {
  SlotIndex slot = 0;
  TypeIndex type = 0;
  std::size_t first = 0;
  std::size_t count = 0;
};

struct Order {
  enum class Kind : std::uint8_t {
    Look,       // tell what runs there: Core::on_looked()
    TakeBack,   // tell the host to begin nothing of what it has; then Core::on_taken_back()
    Listen,     // ask what the attempt `sequence` has told since the last time: Core::on_told() if anything
    Cancel,     // ask the attempt `sequence` to end
    Terminate,  // SIGTERM for the host and all it has started
    Kill        // end the host and all it has started; then Core::on_host_lost()
  };
  Kind kind = Kind::Look;
  SlotIndex slot = 0;
  Sequence sequence = 0;
  bool again = false;  // Listen: also its progress and checkpoint if they were told before
};

struct ReturnedReply {
  std::uint64_t correlation = 0;
  AttemptIds attempts;
};

struct Effects {
  std::vector<Outgoing> finished;
  std::deque<std::string> texts;      // what views in `finished` may point into; addresses stay
  std::vector<std::uint64_t> forget;  // batches: their encoded messages are not needed any more
  std::vector<std::uint64_t> save;    // batches to keep on disk, in order; Core::on_not_saved() if one cannot be
  std::vector<Run> runs;
  std::vector<Handover> handovers;
  std::vector<Order> orders;

  bool open_socket = false;
  std::optional<Hello> hello;
  std::optional<DeviceUpdate> device;  // before any result: what is handed back would come again otherwise
  std::vector<std::uint64_t> send;     // batches to send, closed; Core::on_batch_not_sent() if one cannot be
  AttemptIds started;
  Progress progress;  // to be sent at once or not at all; its views are into `texts`. Core::on_progress_not_sent()
  std::vector<ReturnedReply> returned;
  std::optional<Heartbeat> heartbeat;  // the shell adds the load
  bool drain = false;
  bool goodbye = false;
  bool done = false;           // the worker has left: end
  std::optional<Error> fatal;  // the worker cannot go on: end with this

  bool any() const;
  // Keeps capacity.
  void clear();
};

}  // namespace retire::worker
