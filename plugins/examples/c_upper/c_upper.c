/* c_upper: gives a text back in capital letters (ASCII). The payload is one msgpack string, and so is the result; as
 * the result is as long as the payload, its first bytes, which tell type and length, are the same. */
#include <retire_cluster/plugin_abi.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static void fail(const rc_context* context, const char* message) {
  context->error(context, message, strlen(message), "", 0);
}

/* How many bytes of a msgpack string come before its text; 0 when `payload` is not one whole string. */
static size_t head_of_string(rc_bytes payload) {
  size_t head = 0;
  size_t length = 0;
  if (payload.size == 0) return 0;
  const uint8_t tag = payload.data[0];
  if ((tag & 0xe0u) == 0xa0u) {
    head = 1;
    length = tag & 0x1fu;
  } else if (tag >= 0xd9 && tag <= 0xdb) {
    const size_t digits = (size_t)1 << (tag - 0xd9);
    head = 1 + digits;
    if (payload.size < head) return 0;
    for (size_t i = 1; i <= digits; ++i) length = length << 8 | payload.data[i];
  }
  return head != 0 && payload.size == head + length ? head : 0;
}

static void* create(const rc_setup* setup, void (*refuse)(void* to, const char* reason, size_t size), void* to) {
  static int nothing_to_keep;
  (void)setup;
  (void)refuse;
  (void)to;
  return &nothing_to_keep;
}

static int run(void* self, rc_bytes payload, const rc_context* context) {
  (void)self;
  const size_t head = head_of_string(payload);
  if (head == 0) {
    fail(context, "payload must be a string");
    return RC_FAILED_PERMANENTLY;
  }
  uint8_t* result = malloc(payload.size);
  if (result == NULL) {
    fail(context, "out of memory");
    return RC_FAILED;
  }
  memcpy(result, payload.data, payload.size);
  for (size_t i = head; i < payload.size; ++i) {
    if ((i - head) % 4096 == 0) {
      if (context->cancelled(context)) {
        free(result);
        return RC_CANCELLED;
      }
      context->progress(context, (double)(i - head) / (double)(payload.size - head), "", 0);
    }
    if (result[i] >= 'a' && result[i] <= 'z') result[i] = (uint8_t)(result[i] - 'a' + 'A');
  }
  context->result(context, result, payload.size); /* copied by the host before it returns */
  free(result);
  return RC_OK;
}

static void destroy(void* self) { (void)self; }

static const rc_handler kHandlers[] = {
    {"c_upper", "Gives a text back in capital letters", 0, "{\"type\":\"string\"}", create, run, destroy},
    {NULL, NULL, 0, NULL, NULL, NULL, NULL}};

RC_PLUGIN_MANIFEST("{\"limits\": {\"memory_mb\": 256, \"processes\": 16}}");

static const rc_plugin kPlugin = {RC_PLUGIN_ABI, sizeof(rc_plugin), sizeof(rc_handler), "c_upper", "1.0.0", kHandlers};

const rc_plugin* rc_plugin_get(void) { return &kPlugin; }
