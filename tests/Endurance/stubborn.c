/* The C handler, connected by one process and served by another: a target that ends the process it sees at the other end of the socket does not end
 * the one that serves. For tests of what a handler can do that was given up and lives on. Arguments as disk.c's; the process that serves writes its
 * number to the file that STUBBORN_PID names.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int connect_and_leave(int fd, const struct sockaddr *address, socklen_t length)
{
    if (connect(fd, address, length) != 0)
        return -1;
    pid_t child = fork();
    if (child > 0) {
        close(fd);
        int status = 1;
        waitpid(child, &status, 0);
        _exit(status != 0);
    }
    const char *path = getenv("STUBBORN_PID");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%d\n", (int)getpid());
        fclose(file);
    }
    return child;
}

#define connect connect_and_leave
#include "../c-handler/disk.c"
