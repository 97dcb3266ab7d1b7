/*
 * What a machine has to do beside a measurement:   beside yield|burn
 *
 *   yield  gives its processor away all the time: it takes next to nothing from anybody, but no processor it is on goes idle
 *   burn   takes all of a processor that it can get
 *
 * It goes on until it is killed, or until whoever started it is gone.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

int main(int count, char **words)
{
    if (count != 2 || (strcmp(words[1], "yield") != 0 && strcmp(words[1], "burn") != 0)) {
        fprintf(stderr, "usage: beside yield|burn\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (words[1][0] == 'y') while (1) sched_yield();
    for (volatile unsigned long turns = 0;; turns++) {}
}
