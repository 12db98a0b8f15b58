/* A plugin in plain C, whole or with one thing wrong; a definition says which. */
#include <retire_cluster/plugin_abi.h>
#include <stddef.h>

#if defined(FIXTURE_WITH_MANIFEST)
RC_PLUGIN_MANIFEST("{\"needs\": {\"subprocess\": true}}");
#elif defined(FIXTURE_BAD_MANIFEST)
RC_PLUGIN_MANIFEST("{\"need\": {}}");
#elif defined(FIXTURE_CONTRADICTS)
RC_PLUGIN_MANIFEST("{\"name\": \"another\"}");
#elif defined(FIXTURE_EXITS_AT_LOAD)
#include <unistd.h>
RC_PLUGIN_MANIFEST("{\"needs\": {\"network\": true}}");
__attribute__((constructor)) static void exits(void) { _exit(77); }
#endif

static int alive = 0;

static void* create(const rc_setup* setup, void (*refuse)(void* to, const char* reason, size_t size), void* to) {
  if (setup->settings.size == 1) {
    refuse(to, "no such hardware", 16);
    return NULL;
  }
  if (setup->settings.size == 2) return NULL;
  ++alive;
  return &alive;
}

/* The first byte of the payload is what run() returns; the result tells how many instances live. */
static int run(void* self, rc_bytes payload, const rc_context* context) {
  uint8_t result = (uint8_t) * (int*)self;
  if (payload.size == 0) return RC_OK;
  if (payload.data[0] == RC_OK) context->result(context, &result, 1);
  if (payload.data[0] == RC_FAILED) context->error(context, "no luck", 7, "", 0);
  return payload.data[0];
}

static void destroy(void* self) { --*(int*)self; }

static const rc_handler kHandlers[] = {
#if defined(FIXTURE_BAD_NAME)
    {"Upper Case", "", 0, NULL, create, run, destroy},
#elif defined(FIXTURE_LONG_NAME)
    {"a2345678901234567890123456789012345678901234567890123456789012345", "", 0, NULL, create, run, destroy},
#elif defined(FIXTURE_DUPLICATE)
    {"twice", "", 0, NULL, create, run, destroy},
    {"twice", "", 0, NULL, create, run, destroy},
#elif defined(FIXTURE_NULL_CREATE)
    {"nothing", "", 0, NULL, NULL, run, destroy},
#elif defined(FIXTURE_NULL_RUN)
    {"nothing", "", 0, NULL, create, NULL, destroy},
#elif defined(FIXTURE_NULL_DESTROY)
    {"nothing", "", 0, NULL, create, run, NULL},
#elif defined(FIXTURE_BAD_SCHEMA)
    {"first", "", 0, "{\"type\":\"text\"}", create, run, destroy},
#elif !defined(FIXTURE_NO_HANDLERS)
    {"first", "Returns what it is told", RC_OFF_BY_DEFAULT, "{\"type\":\"object\"}", create, run, destroy},
    {"second.one-2", NULL, 0, NULL, create, run, destroy},
#endif
    {NULL, NULL, 0, NULL, NULL, NULL, NULL}};

#if defined(FIXTURE_WRONG_ABI)
#define ABI (RC_PLUGIN_ABI + 1)
#else
#define ABI RC_PLUGIN_ABI
#endif
#if defined(FIXTURE_SHORT_TABLE)
#define TABLE_SIZE 8
#else
#define TABLE_SIZE sizeof(rc_plugin)
#endif
#if defined(FIXTURE_SHORT_HANDLERS)
#define HANDLER_SIZE 8
#elif defined(FIXTURE_ENDLESS) /* a stride of which the end is never met */
#define HANDLER_SIZE 5000
#else
#define HANDLER_SIZE sizeof(rc_handler)
#endif
#if defined(FIXTURE_NULL_HANDLERS)
#define HANDLERS NULL
#else
#define HANDLERS kHandlers
#endif

static const rc_plugin kPlugin = {ABI, (uint32_t)TABLE_SIZE, (uint32_t)HANDLER_SIZE, "sound", "1.2.3", HANDLERS};

#if defined(FIXTURE_NO_SYMBOL)
RC_PLUGIN_EXPORT const rc_plugin* another_name(void);
const rc_plugin* another_name(void) { return &kPlugin; }
#elif defined(FIXTURE_NULL_TABLE)
static const rc_plugin* volatile nothing;
const rc_plugin* rc_plugin_get(void) {
  const rc_plugin* whole = &kPlugin;
  (void)whole;
  return nothing;
}
#else
const rc_plugin* rc_plugin_get(void) { return &kPlugin; }
#endif
