/* What a C library's resolver makes of a name or an address: one line for each address it has, or the name, or why there is none. */

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int forward(const char *name)
{
    struct addrinfo hints, *found, *one;
    char text[INET6_ADDRSTRLEN];
    int error;

    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    error = getaddrinfo(name, "80", &hints, &found);
    if (error != 0) {
        printf("%s\n", gai_strerror(error));
        return 1;
    }
    for (one = found; one != NULL; one = one->ai_next) {
        const void *address = one->ai_family == AF_INET
            ? (const void *)&((struct sockaddr_in *)one->ai_addr)->sin_addr
            : (const void *)&((struct sockaddr_in6 *)one->ai_addr)->sin6_addr;
        puts(inet_ntop(one->ai_family, address, text, sizeof text));
    }
    freeaddrinfo(found);
    return 0;
}

int main(int count, char **words)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char name[NI_MAXHOST];
    int error;

    if (count != 2)
        return 2;
    if (inet_pton(AF_INET, words[1], &v4.sin_addr) == 1)
        error = getnameinfo((struct sockaddr *)&v4, sizeof v4, name, sizeof name, NULL, 0, NI_NAMEREQD);
    else if (inet_pton(AF_INET6, words[1], &v6.sin6_addr) == 1)
        error = getnameinfo((struct sockaddr *)&v6, sizeof v6, name, sizeof name, NULL, 0, NI_NAMEREQD);
    else
        return forward(words[1]);
    puts(error == 0 ? name : gai_strerror(error));
    return error != 0;
}
