/* A plugin that uses all of rc_context, in plain C by the header alone. Its first attempt tells, saves a checkpoint and
 * fails; the second gives [attempt, idempotency key, checkpoint, seconds left, what of the scratch directory is wrong].
 */
#include <retire_cluster/plugin_abi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const uint8_t kSaved[] = {0, 1, 254, 255};

static void* create(const rc_setup* setup, void (*refuse)(void* to, const char* reason, size_t size), void* to) {
  static int nothing_to_keep;
  (void)setup;
  (void)refuse;
  (void)to;
  return &nothing_to_keep;
}

static void say(const rc_context* context, int level, const char* text) {
  context->log(context, level, text, strlen(text));
}

/* Empty: nothing is. */
static const char* wrong_with_scratch(const rc_context* context) {
  char file[512];
  FILE* made;
  const char* const path = context->scratch_dir(context);
  if (path == NULL) return "there is none";
  if (context->scratch_dir(context) != path) return "another address the second time";
  if (snprintf(file, sizeof file, "%s/file", path) >= (int)sizeof file) return "a long path";
  if (access(file, F_OK) == 0) return "not empty";
  made = fopen(file, "w");
  if (made == NULL) return "cannot be written to";
  fclose(made);
  return "";
}

static int tell(const rc_context* context) {
  static const char kWhy[] = "told all";
  say(context, RC_LOG_DEBUG, "one");
  say(context, RC_LOG_INFO, "two");
  say(context, RC_LOG_WARNING, "three");
  say(context, RC_LOG_ERROR, "four");
  context->progress(context, 0.5, "half", 4);
  if (context->save_checkpoint(context, kSaved, sizeof kSaved) != 0) return RC_FAILED_PERMANENTLY;
  if (context->save_checkpoint(context, kSaved, RC_CHECKPOINT_BYTES_MAX + 1u) != 1) return RC_FAILED_PERMANENTLY;
  context->error(context, kWhy, sizeof kWhy - 1, NULL, 0);
  return RC_FAILED;
}

static size_t put_text(uint8_t* out, const char* text) {
  const size_t size = strlen(text);
  out[0] = 0xd9;
  out[1] = (uint8_t)size;
  memcpy(out + 2, text, size);
  return size + 2;
}

static int run(void* self, rc_bytes payload, const rc_context* context) {
  uint8_t result[512] = {0x95};
  size_t size = 1;
  const double left = context->seconds_left(context);
  (void)self;
  (void)payload;
  if (!RC_CONTEXT_HAS(context, scratch_dir)) return RC_FAILED_PERMANENTLY;
  if (context->attempt == 1) return tell(context);
  if (context->checkpoint.size > 100) return RC_FAILED_PERMANENTLY;
  result[size++] = (uint8_t)context->attempt;
  size += put_text(result + size, context->task_id);
  result[size++] = 0xc4;
  result[size++] = (uint8_t)context->checkpoint.size;
  if (context->checkpoint.size > 0) memcpy(result + size, context->checkpoint.data, context->checkpoint.size);
  size += context->checkpoint.size;
  result[size++] = (uint8_t)(left > 100 ? 100 : left);
  size += put_text(result + size, wrong_with_scratch(context));
  context->result(context, result, size);
  return RC_OK;
}

static void destroy(void* self) { (void)self; }

static const rc_handler kHandlers[] = {{"telling_c", "Tells all that it can", 0, NULL, create, run, destroy},
                                       {NULL, NULL, 0, NULL, NULL, NULL, NULL}};
static const rc_plugin kPlugin = {RC_PLUGIN_ABI, sizeof(rc_plugin), sizeof(rc_handler), "telling_c", "1", kHandlers};

__attribute__((visibility("default"))) const rc_plugin* rc_plugin_get(void) { return &kPlugin; }
