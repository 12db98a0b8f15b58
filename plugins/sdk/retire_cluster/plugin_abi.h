/* The border between a handler host and a plugin, in plain C: compilers and standard libraries on both sides may
 * differ.
 *
 * A plugin is one shared library that exports one function, `rc_plugin_get`, and, if it has a manifest, the text
 * `rc_plugin_manifest`. C++ authors use <retire_cluster/plugin.hpp>, which wraps all of this.
 *
 * Rules
 *  - Memory is freed by the side that allocated it. What a call is given is valid only until that call returns.
 *  - No exception may cross. A handler that lets one out ends its host process; only that attempt is lost.
 *  - Structures only ever grow at the end; `size_bytes` says which fields the other side knows.
 *  - Payloads, results, device and settings are msgpack.
 *  - Threads: a host runs one attempt at a time and calls create, run and destroy from one thread. The functions of
 *    rc_context may be called from any thread of the handler while its run() has not returned.
 */
#ifndef RETIRE_CLUSTER_PLUGIN_ABI_H
#define RETIRE_CLUSTER_PLUGIN_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RC_PLUGIN_ABI 1u

#if defined(_WIN32)
#define RC_PLUGIN_EXPORT __declspec(dllexport)
#else
#define RC_PLUGIN_EXPORT __attribute__((visibility("default")))
#endif

typedef struct rc_bytes {
  const uint8_t* data; /* NULL only when size is 0 */
  size_t size;
} rc_bytes;

/* What run() returns. */
enum {
  RC_OK = 0,                 /* the result was given with rc_context.result */
  RC_FAILED = 1,             /* another attempt may do better */
  RC_FAILED_PERMANENTLY = 2, /* no attempt can do better: a payload that makes no sense, a refused address */
  RC_CANCELLED = 3           /* gave up because cancelled() was true */
};

enum { RC_LOG_DEBUG = 1, RC_LOG_INFO = 2, RC_LOG_WARNING = 3, RC_LOG_ERROR = 4 };

/* One attempt, as its handler sees it. */
typedef struct rc_context {
  uint32_t size_bytes;
  uint32_t attempt;    /* 1 for the first */
  const char* task_id; /* text UUID; the same in every attempt, so it is the idempotency key */
  const char* task_type;
  void* host; /* the host's own */

  /* True once the task was cancelled or ran out of time. Cheap: a handler may ask in an inner loop. */
  int (*cancelled)(const struct rc_context* context);
  /* Sleeps for `seconds`, or until cancelled; true if cancelled. */
  int (*wait)(const struct rc_context* context, double seconds);
  /* Seconds until the attempt's timeout; never negative. */
  double (*seconds_left)(const struct rc_context* context);
  /* One line for the task's log (RC_LOG_…, UTF-8, no newline needed); dropped and counted beyond the log limit. */
  void (*log)(const struct rc_context* context, int level, const char* text, size_t size);
  /* How far the attempt is: fraction 0..1, and a short text (up to 256 bytes). Cheap: a handler may call it in a loop.
   */
  void (*progress)(const struct rc_context* context, double fraction, const char* text, size_t size);
  /* Gives the result, one msgpack value; the last call before RC_OK counts. */
  void (*result)(const struct rc_context* context, const uint8_t* data, size_t size);
  /* Says what went wrong, one line naming the field or value, before RC_FAILED or RC_FAILED_PERMANENTLY;
     `traceback` may be empty. */
  void (*error)(const struct rc_context* context, const char* message, size_t message_size, const char* traceback,
                size_t traceback_size);

  /* What follows is there when size_bytes covers it (RC_CONTEXT_HAS): the first hosts did not have it. */

  /* The latest checkpoint that an earlier attempt of the task has saved and main has heard of; size 0: none. It may be
     of another device and another version of the plugin. */
  rc_bytes checkpoint;
  /* Saves a checkpoint for the case that this attempt does not succeed: the next one is handed the latest. Up to
     RC_CHECKPOINT_BYTES_MAX bytes, copied. 0: done; 1: too large, and the one before stays. It reaches main within
     about half a second, or with the end of the attempt; until then a lost device takes it along. */
  int (*save_checkpoint)(const struct rc_context* context, const uint8_t* data, size_t size);
  /* An empty directory of the attempt's own, made at the first call and removed with all that is in it after the
     attempt; its absolute path, which lives as long as the attempt. NULL: it cannot be made, and error() was called
     with why. */
  const char* (*scratch_dir)(const struct rc_context* context);
} rc_context;

#define RC_CHECKPOINT_BYTES_MAX 1048576u
/* Whether the host of this context has the named member. */
#define RC_CONTEXT_HAS(context, member) \
  ((context)->size_bytes >= offsetof(rc_context, member) + sizeof((context)->member))

/* What a handler gets once, when its host starts. */
typedef struct rc_setup {
  uint32_t size_bytes;
  rc_bytes device;   /* the device's capability record, a msgpack map with the keys of the contract */
  rc_bytes settings; /* a msgpack map of the worker's settings that concern handlers: {"http_allow": [cidr text…]} */
} rc_setup;

/* Flags of a handler. */
enum {
  RC_OFF_BY_DEFAULT = 1u /* offered only when the worker was started with --allow NAME */
};

typedef struct rc_handler {
  const char* name;           /* the task type, [a-z0-9_.-]{1,64}; NULL ends the array */
  const char* description;    /* one line for people */
  uint32_t flags;             /* RC_OFF_BY_DEFAULT, or 0 */
  const char* payload_schema; /* JSON Schema of the payload as text, or NULL */
  /* Makes the handler's instance; NULL says that it cannot work here, with the reason by `refuse`. */
  void* (*create)(const rc_setup* setup, void (*refuse)(void* to, const char* reason, size_t size), void* to);
  /* Runs one attempt; returns RC_OK, RC_FAILED, RC_FAILED_PERMANENTLY or RC_CANCELLED. */
  int (*run)(void* self, rc_bytes payload, const rc_context* context);
  void (*destroy)(void* self);
} rc_handler;

typedef struct rc_plugin {
  uint32_t abi;           /* RC_PLUGIN_ABI of the header compiled against */
  uint32_t size_bytes;    /* sizeof(rc_plugin) */
  uint32_t handler_bytes; /* sizeof(rc_handler): the stride of `handlers` */
  const char* name;       /* of the plugin */
  const char* version;
  const rc_handler* handlers; /* ends with a handler whose name is NULL */
} rc_plugin;

/* The one exported function. The answer is owned by the plugin and lives as long as the library is loaded. */
RC_PLUGIN_EXPORT const rc_plugin* rc_plugin_get(void);

/* The manifest, which a plugin need not have: what it needs, its limits, schemas of payloads; JSON text, up to 256 KiB.
 * It is data, so that it can be read without running anything of the plugin. Once in a library, at file scope:
 *
 *   RC_PLUGIN_MANIFEST("{\"needs\": {\"network\": true}, \"limits\": {\"memory_mb\": 512}}");
 *
 * All keys may be left out; others are refused:
 *   name, version   text; if there, the same as in rc_plugin
 *   needs           {network: bool, subprocess: bool, paths: [absolute directory…]}; at --sandbox strict a plugin has
 * the network, and can start programs or processes, only if it says so here limits          {memory_mb, file_mb,
 * open_files, processes, cpu_seconds}, whole numbers handlers        {task type: JSON Schema of its payload}, of those
 * that have no rc_handler.payload_schema */
RC_PLUGIN_EXPORT extern const char rc_plugin_manifest[];

#ifdef __cplusplus
}
#endif

#define RC_PLUGIN_MANIFEST(json_text) const char rc_plugin_manifest[] = json_text

#endif
