#include "worker/sandbox/ipc.hpp"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include <cstdint>

namespace retire::sandbox {
namespace {

union SemaphoreArgument {  // as semctl(2) wants its caller to declare it
  int value;
  semid_ds* state;
  std::uint16_t* values;
  seminfo* info;
};

int shared_memory(int index, int command, shmid_ds* state) { return shmctl(index, command, state); }
int queue(int index, int command, msqid_ds* state) { return msgctl(index, command, state); }
int semaphores(int index, int command, semid_ds* state) {
  SemaphoreArgument argument{};
  argument.state = state;
  return semctl(index, 0, command, argument);
}

// `command_state` tells an object by its place in the kernel's table, and gives its name.
template <class State, class Control>
void remove_of(uid_t user, int last, int command_state, ipc_perm State::*owner, Control control) {
  for (int index = 0; index <= last; ++index) {
    State state{};
    const int name = control(index, command_state, &state);
    if (name < 0) continue;
    const ipc_perm& permissions = state.*owner;
    if (permissions.uid == user || permissions.cuid == user) control(name, IPC_RMID, nullptr);
  }
}

}  // namespace

void remove_ipc(uid_t user) {
  shm_info memory{};
  const int last_memory = shmctl(0, SHM_INFO, reinterpret_cast<shmid_ds*>(&memory));
  remove_of(user, last_memory, SHM_STAT, &shmid_ds::shm_perm, shared_memory);

  msginfo queues{};
  const int last_queue = msgctl(0, MSG_INFO, reinterpret_cast<msqid_ds*>(&queues));
  remove_of(user, last_queue, MSG_STAT, &msqid_ds::msg_perm, queue);

  seminfo sets{};
  SemaphoreArgument argument{};
  argument.info = &sets;
  const int last_set = semctl(0, 0, SEM_INFO, argument);
  remove_of(user, last_set, SEM_STAT, &semid_ds::sem_perm, semaphores);
}

}  // namespace retire::sandbox
