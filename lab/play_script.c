/* SPDX-License-Identifier: MIT */
/* Reads the actions of a play: "TIME HOST|NAME VERB ...", as play.h lists them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/play_int.h"

static bool is_word(const char *word, const char *name)
{
    return strcmp(word, name) == 0;
}

/* The value of "name=value"; NULL: it is another word. */
static const char *value_of(const char *word, const char *name)
{
    size_t len = strlen(name);
    return strncmp(word, name, len) == 0 && word[len] == '=' ? word + len + 1 : NULL;
}

static bool read_seconds(const char *text, size_t len, int *seconds)
{
    char copy[24];
    weir_time t;
    if (len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (!wr_lab_read_time(copy, &t) || t <= 0 || t > 1000000 * WEIR_SEC)
        return false;
    *seconds = (int)((t + WEIR_SEC - 1) / WEIR_SEC);
    return true;
}

/* "60s,10s,3" */
static bool read_keepalive(const char *v, struct play_options *options)
{
    size_t idle = strcspn(v, ","), interval;
    uint64_t count;
    if (v[idle] != ',' || !read_seconds(v, idle, &options->keep_idle))
        return false;
    v += idle + 1;
    interval = strcspn(v, ",");
    if (v[interval] != ',' || !read_seconds(v, interval, &options->keep_interval))
        return false;
    if (!wr_lab_read_count(v + interval + 1, &count) || count == 0 || count > 127)
        return false;
    options->keep_count = (int)count;
    return true;
}

static bool read_option(const char *word, struct play_options *options)
{
    const char *v;
    uint64_t n;
    bool *flag = is_word(word, "hold")           ? &options->hold
                 : is_word(word, "close-at-eof") ? &options->close_at_eof
                 : is_word(word, "nodelay")      ? &options->nodelay
                 : is_word(word, "reuse")        ? &options->reuse
                                                 : NULL;
    if (flag != NULL) {
        *flag = true;
        return true;
    }
    if ((v = value_of(word, "sndbuf")) != NULL)
        return wr_lab_read_size(v, &options->sndbuf) && options->sndbuf <= INT32_MAX;
    if ((v = value_of(word, "rcvbuf")) != NULL)
        return wr_lab_read_size(v, &options->rcvbuf) && options->rcvbuf <= INT32_MAX;
    if ((v = value_of(word, "keepalive")) != NULL)
        return read_keepalive(v, options);
    if ((v = value_of(word, "user-timeout")) != NULL)
        return wr_lab_read_time(v, &options->user_timeout);
    if ((v = value_of(word, "linger")) != NULL && wr_lab_read_count(v, &n) && n < 65536) {
        options->linger = (int)n;
        return true;
    }
    if ((v = value_of(word, "cc")) != NULL && *v != '\0' && strlen(v) < sizeof options->cc) {
        memcpy(options->cc, v, strlen(v) + 1);
        return true;
    }
    return false;
}

static bool read_port(const char *text, uint16_t *port)
{
    uint64_t n;
    if (!wr_lab_read_count(text, &n) || n == 0 || n > 65535)
        return false;
    *port = (uint16_t)n;
    return true;
}

/* "HOST:PORT" */
static bool read_peer(const struct play *play, const char *text, struct play_action *action)
{
    char name[PLAY_NAME];
    size_t len = strcspn(text, ":");
    if (text[len] != ':' || len >= sizeof name)
        return false;
    memcpy(name, text, len);
    name[len] = '\0';
    int host = wr_play_find_host(play, name);
    action->peer = (unsigned)host;
    return host >= 0 && read_port(text + len + 1, &action->port);
}

/* How often and how far apart; when each connection is closed again (0: it is not). */
struct repeat {
    uint64_t times;
    weir_time every, close_after;
};

/* What stands behind a verb: "as NAME", "times=", "every=", options and so on. */
static bool read_rest(struct play_action *action, struct repeat *repeat, char **words, size_t n)
{
    const char *v;
    for (size_t i = 0; i < n; i++) {
        bool good;
        if (is_word(words[i], "as") && i + 1 < n && strlen(words[i + 1]) < PLAY_NAME) {
            memcpy(action->sock, words[i + 1], strlen(words[i + 1]) + 1);
            i++;
            good = true;
        } else if ((v = value_of(words[i], "times")) || (v = value_of(words[i], "count")))
            good = wr_lab_read_count(v, &repeat->times) && repeat->times > 0 &&
                   repeat->times <= 1000000;
        else if ((v = value_of(words[i], "every")) != NULL)
            good = wr_lab_read_time(v, &repeat->every);
        else if ((v = value_of(words[i], "close-after")) != NULL)
            good = wr_lab_read_time(v, &repeat->close_after);
        else if ((v = value_of(words[i], "backlog")) != NULL)
            good = wr_lab_read_count(v, &action->n) && action->n <= INT32_MAX;
        else if ((v = value_of(words[i], "local")) != NULL)
            good = read_port(v, &action->local);
        else
            good = read_option(words[i], &action->options);
        if (!good)
            return false;
    }
    return true;
}

static bool add_action(struct play *play, const struct play_action *action,
                       const struct repeat *repeat, const char **why)
{
    size_t room = play->n_actions + (size_t)repeat->times * (repeat->close_after > 0 ? 2 : 1);
    *why = "there are more than 1048576 actions, or they last longer than 1000000s";
    if (room > PLAY_ACTIONS || (weir_time)repeat->times > LAB_TIME_MAX / (repeat->every + 1))
        return false;
    struct play_action *all = realloc(play->action, room * sizeof *all);
    *why = "out of memory";
    if (all == NULL)
        return false;
    play->action = all;
    for (uint64_t i = 0; i < repeat->times; i++) {
        struct play_action *one = &all[play->n_actions];
        *one = *action;
        one->at += (weir_time)i * repeat->every;
        one->order = play->n_actions++;
        if (one->verb == PLAY_FLOOD)
            one->n = i;
        if (one->verb == PLAY_CONNECT && repeat->times > 1)
            snprintf(one->sock, sizeof one->sock, "%.15s%u", action->sock, (unsigned)(i + 1));
        if (repeat->close_after == 0)
            continue;
        struct play_action *close = &all[play->n_actions];
        *close = *one;
        close->verb = PLAY_CLOSE;
        close->at += repeat->close_after;
        close->order = play->n_actions++;
    }
    return true;
}

static bool read_host_action(struct play *play, struct play_action *action, struct repeat *repeat,
                             char **words, size_t n)
{
    const char *verb = words[0];
    uint64_t mtu;
    if (is_word(verb, "listen")) {
        action->verb = PLAY_LISTEN;
        action->n = 128;
        return n >= 2 && read_port(words[1], &action->port) &&
               read_rest(action, repeat, words + 2, n - 2) && action->sock[0] != '\0';
    }
    if (is_word(verb, "connect")) {
        action->verb = PLAY_CONNECT;
        return n >= 2 && read_peer(play, words[1], action) &&
               read_rest(action, repeat, words + 2, n - 2) && action->sock[0] != '\0';
    }
    if (is_word(verb, "flood")) {
        action->verb = PLAY_FLOOD;
        return n >= 2 && read_peer(play, words[1], action) &&
               read_rest(action, repeat, words + 2, n - 2);
    }
    if (is_word(verb, "mtu")) {
        action->verb = PLAY_MTU;
        if (n != 2 || !wr_lab_read_count(words[1], &mtu) || mtu < 68 || mtu > 65535)
            return false;
        action->n = mtu;
        return true;
    }
    action->verb = is_word(verb, "crash")  ? PLAY_CRASH
                   : is_word(verb, "down") ? PLAY_DOWN
                                           : PLAY_UP;
    return n == 1 && (action->verb != PLAY_UP || is_word(verb, "up"));
}

static bool read_sock_action(struct play_action *action, struct repeat *repeat, char **words,
                             size_t n)
{
    static const struct {
        const char *name;
        enum play_verb verb;
    } plain[] = {{"hold", PLAY_HOLD},
                 {"shutdown", PLAY_SHUTDOWN},
                 {"close", PLAY_CLOSE},
                 {"abort", PLAY_ABORT}};
    if (is_word(words[0], "send")) {
        action->verb = PLAY_SEND;
        return n >= 2 && wr_lab_read_size(words[1], &action->n) && action->n > 0 &&
               read_rest(action, repeat, words + 2, n - 2);
    }
    if (is_word(words[0], "read")) {
        action->verb = PLAY_READ;
        action->n = UINT64_MAX;
        return n == 1 || (wr_lab_read_size(words[1], &action->n) &&
                          read_rest(action, repeat, words + 2, n - 2));
    }
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (is_word(words[0], plain[i].name)) {
            action->verb = plain[i].verb;
            return n == 1;
        }
    }
    return false;
}

bool wr_play_read_action(struct play *play, char **words, size_t n, const char **why)
{
    struct play_action action = {.options = {.linger = -1}};
    struct repeat repeat = {.times = 1};
    *why = "an action is: at TIME HOST|NAME VERB ...; TIME 1000000s at most";
    if (n < 3 || strlen(words[1]) >= PLAY_NAME || !wr_lab_read_time(words[0], &action.at))
        return false;
    action.at += LAB_EPOCH;
    int host = wr_play_find_host(play, words[1]);
    action.host = (unsigned)host;
    if (host < 0)
        memcpy(action.sock, words[1], strlen(words[1]) + 1);
    *why = host >= 0 ? "a host can: listen, connect, flood, crash, down, up, mtu; see docs/lab.md"
                     : "a socket can: send, hold, read, shutdown, close, abort; see docs/lab.md";
    bool good = host >= 0 ? read_host_action(play, &action, &repeat, words + 2, n - 2)
                          : read_sock_action(&action, &repeat, words + 2, n - 2);
    return good && add_action(play, &action, &repeat, why);
}
