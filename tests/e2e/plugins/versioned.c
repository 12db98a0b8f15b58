/* A plugin that tells its version, compiled by tests/e2e/test_hot_plugins.py with one of
 *   -DVERSION="1"            what it gives as its result
 *   -DRELEASE_FILE="/…"      a payload that is not nil waits until this file exists
 *   -DABI=99                 another version of the interface
 *   -DDIES_AT_LOAD           its constructor aborts
 * Plain C, by the header alone. */
#include <retire_cluster/plugin_abi.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ABI
#define ABI RC_PLUGIN_ABI
#endif
#ifndef TYPE
#define TYPE "versioned"
#endif
#ifndef RELEASE_FILE
#define RELEASE_FILE "/"
#endif

#ifdef DIES_AT_LOAD
__attribute__((constructor)) static void die(void) {
  static const char kWords[] = "no way to live here\n";
  if (write(STDERR_FILENO, kWords, sizeof kWords - 1) < 0) _exit(1);
  abort();
}
#endif

static void* create(const rc_setup* setup, void (*refuse)(void* to, const char* reason, size_t size), void* to) {
  static int nothing_to_keep;
  (void)setup;
  (void)refuse;
  (void)to;
  return &nothing_to_keep;
}

static int run(void* self, rc_bytes payload, const rc_context* context) {
  uint8_t result[1 + sizeof VERSION];
  (void)self;
  if (payload.size != 1 || payload.data[0] != 0xc0) {
    while (access(RELEASE_FILE, F_OK) != 0) {
      if (context->wait(context, 0.02)) return RC_CANCELLED;
    }
  }
  result[0] = (uint8_t)(0xa0 + sizeof VERSION - 1);
  memcpy(result + 1, VERSION, sizeof VERSION - 1);
  context->result(context, result, sizeof VERSION);
  return RC_OK;
}

static void destroy(void* self) { (void)self; }

static const rc_handler kHandlers[] = {{TYPE, "Tells its version", 0, NULL, create, run, destroy},
                                       {NULL, NULL, 0, NULL, NULL, NULL, NULL}};
static const rc_plugin kPlugin = {ABI, sizeof(rc_plugin), sizeof(rc_handler), "versioned", VERSION, kHandlers};

__attribute__((visibility("default"))) const rc_plugin* rc_plugin_get(void) { return &kPlugin; }
