/* Puts the clock of a process off by KBNT_CLOCK_OFF seconds: cc -shared -fPIC, then LD_PRELOAD. Only what asks for the time of
 * day is told wrong; how long something takes is right, as on a machine whose clock was set wrong. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static long off(void) {
    const char *seconds = getenv("KBNT_CLOCK_OFF");
    return seconds ? atol(seconds) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int outcome = (int)syscall(SYS_clock_gettime, clock, now);
    if (outcome == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += off();
    return outcome;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int outcome = (int)syscall(SYS_gettimeofday, now, zone);
    if (outcome == 0)
        now->tv_sec += off();
    return outcome;
}

/* The kernel's clock is right, and until then it waits. */
int cnd_timedwait(cnd_t *condition, mtx_t *lock, const struct timespec *until) {
    static int (*wait)(cnd_t *, mtx_t *, const struct timespec *);
    struct timespec right = {until->tv_sec - off(), until->tv_nsec};
    if (!wait)
        *(void **)&wait = dlsym(RTLD_NEXT, "cnd_timedwait");
    return wait(condition, lock, &right);
}
