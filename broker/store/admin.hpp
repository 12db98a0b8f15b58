// A socket in the store's directory on which the main that has it open takes orders: one line asks, one line answers.
// Whoever may enter the data directory (mode 0700) may ask.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/base/result.hpp"

namespace retire::store {

class AdminSocket {
 public:
  static Result<std::unique_ptr<AdminSocket>> listen(const std::string& directory);
  ~AdminSocket();
  AdminSocket(const AdminSocket&) = delete;

  int descriptor() const { return listener_; }
  // Takes one request and answers it. Returns when there is none.
  void serve(const std::function<std::string(const std::string& request)>& answer);

 private:
  AdminSocket(int directory, int listener) : directory_(directory), listener_(listener) {}
  int directory_;
  int listener_;
};

// "ok TEXT" gives the text. Errors: Unreachable; Io with what main said.
Result<std::string> ask_main(const std::string& directory, const std::string& request);

}  // namespace retire::store
