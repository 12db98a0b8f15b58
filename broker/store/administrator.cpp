#include "broker/store/administrator.hpp"

#include <poll.h>

#include <array>
#include <filesystem>

#include "broker/store/admin_verbs.hpp"
#include "broker/store/backup.hpp"

namespace retire::store {

void Administrator::start(std::unique_ptr<AdminSocket> socket, const std::string& directory) {
  socket_ = std::move(socket);
  data_dir_ = std::filesystem::path(directory).parent_path();
  thread_ = std::thread([this] { run(); });
}

void Administrator::stop() {
  stopping_ = true;
  wake_.ring();
  if (thread_.joinable()) thread_.join();
  socket_.reset();
}

void Administrator::run() {
  while (!stopping_) {
    std::array<pollfd, 2> waits = {{{wake_.descriptor(), POLLIN, 0}, {socket_->descriptor(), POLLIN, 0}}};
    ::poll(waits.data(), waits.size(), -1);
    if (stopping_) return;
    if (waits[1].revents != 0) socket_->serve([this](const std::string& request) { return serve(request); });
  }
}

std::string Administrator::serve(const std::string& request) {
  if (shared_.failed()) return "error " + shared_.failure().detail;
  Disk& disk = *shared_.disk;
  const auto answer = [](const Result<Figures>& figures) {
    return figures.ok() ? "ok" + to_text(figures.value()) : "error " + figures.error().detail;
  };
  if (request.starts_with("backup ")) {
    const std::lock_guard structure(disk.structure());
    return answer(backup_figures(disk, data_dir_, request.substr(7)));
  }
  if (request == "verify") {
    std::uint64_t durable = 0;
    {
      const std::lock_guard lock(shared_.ledger_mutex);
      durable = shared_.durable_batch;
    }
    return answer(verify_figures(disk, durable, &stopping_));
  }
  if (request == "compact") return answer(compact_figures(disk, &stopping_));
  return "error main does not know the request \"" + request + "\"";
}

}  // namespace retire::store
