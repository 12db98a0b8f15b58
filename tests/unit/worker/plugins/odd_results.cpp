// A plugin in plain ABI whose handlers give no result, garbage, or an error without words; and one off by default.
#include <retire_cluster/plugin_abi.h>

#include <cstring>

namespace {

void* create(const rc_setup* setup, void (*)(void*, const char*, size_t), void*) {
  return const_cast<rc_setup*>(setup);
}
void destroy(void*) {}

int no_result(void*, rc_bytes, const rc_context*) { return RC_OK; }
int garbage(void*, rc_bytes, const rc_context* context) {
  const uint8_t bytes[] = {0x92, 0x01};
  context->result(context, bytes, sizeof bytes);
  return RC_OK;
}
int speechless(void*, rc_bytes, const rc_context*) { return RC_FAILED; }
int odd_code(void*, rc_bytes, const rc_context*) { return 77; }
int cancels(void*, rc_bytes, const rc_context*) { return RC_CANCELLED; }

const rc_handler kHandlers[] = {
    {"no_result", "", 0, nullptr, create, no_result, destroy},
    {"garbage", "", 0, nullptr, create, garbage, destroy},
    {"speechless", "", 0, nullptr, create, speechless, destroy},
    {"odd_code", "", 0, nullptr, create, odd_code, destroy},
    {"cancels", "", RC_OFF_BY_DEFAULT, nullptr, create, cancels, destroy},
    {nullptr, nullptr, 0, nullptr, nullptr, nullptr, nullptr},
};
const rc_plugin kPlugin = {RC_PLUGIN_ABI, sizeof(rc_plugin), sizeof(rc_handler), "odd", "0.1", kHandlers};

}  // namespace

extern "C" RC_PLUGIN_EXPORT const rc_plugin* rc_plugin_get(void) { return &kPlugin; }
