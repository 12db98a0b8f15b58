// The documents of the contract as tables that a person reads.
#pragma once

#include "client/cli/world.hpp"
#include "common/json/json.hpp"
#include "common/model/messages.hpp"

namespace retire::cli {

// `tasks`: {"tasks": […]}, what main answered to `asked`.
void show_tasks(const World& world, const json::Json& tasks, const List& asked);
void show_task(const World& world, const json::Json& task);
void show_why(const World& world, const json::Json& explanation);
void show_devices(const World& world, const json::Json& devices);  // a list
void show_device(const World& world, const json::Json& device);
void show_queue(const World& world, const json::Json& statistics);
// `queued`: {"tasks": […]}, the newest that wait.
void show_overview(const World& world, const std::string& address, const json::Json& statistics,
                   const json::Json& devices, const json::Json& queued);
// One document: indented on a terminal, on one line else.
void print_json(const World& world, const json::Json& document);

}  // namespace retire::cli
