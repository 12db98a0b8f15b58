// echo: gives the payload back as {"echo": payload}. The bytes are copied, never decoded.
#pragma once

#include <retire_cluster/context.hpp>
#include <vector>

namespace retire::handlers {

class Echo {
 public:
  void run(retire_cluster::Bytes payload, retire_cluster::Context& context);

 private:
  std::vector<std::uint8_t> result_;  // kept between attempts, up to a bound
};

}  // namespace retire::handlers
