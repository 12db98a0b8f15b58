// Runs a broker on a real socket, the real clock and the real disk.
#pragma once

#include <atomic>

#include "broker/service/broker.hpp"
#include "broker/service/transport.hpp"

namespace retire::service {

// Until `stop` is set (checked twice a second, and when `wake` is readable). Errors: StorageFailed.
Status run_broker(Broker& broker, const RouterTransport& transport, const store::Store& store,
                  const std::atomic<bool>& stop, int wake);

}  // namespace retire::service
