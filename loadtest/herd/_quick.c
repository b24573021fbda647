/* The steps of a herd that are done once per message and once per connect, compiled; `quick.py` is their law.

   sweep         epoll_wait, then for each quick descriptor: read, find the chunk among the parcels, enter it in its books;
                 again, until nothing more is ready
   dial          socket, options, bind, connect, first write, epoll_ctl: one call into the kernel after the other
   ack_at_once   one option of a bare descriptor

   Law: whatever is not the common case is Python's: `sweep` calls `other` for it, `dial` returns a negative errno.
   The interpreter lock is held throughout: no call here waits. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { READ_BYTES = 16384, MOST_EVENTS = 256, MOST_BOOKS = 16 };
#define ENDED (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

static PyObject *name_books, *name_group, *name_prev, *name_times;
static char buffer[READ_BYTES]; /* what was read last, by whichever herd of this process: turns do not nest */

/* Return the time: of `clock`, a callable, or of CLOCK_MONOTONIC when it is None. */
static PyObject *time_of(PyObject *clock) {
    struct timespec at;
    if (clock != Py_None) return PyObject_CallNoArgs(clock);
    clock_gettime(CLOCK_MONOTONIC, &at);
    return PyLong_FromLongLong((long long)at.tv_sec * 1000000000LL + at.tv_nsec);
}

/* What of a chunk's books is asked for each copy. Read once, and again after each call into Python, which may change it. */
struct entry {
    PyObject *book, *prev, *times;
    long group;
};

static void forget(struct entry *entries, Py_ssize_t *count) {
    for (Py_ssize_t i = 0; i < *count; i++) {
        Py_CLEAR(entries[i].book);
        Py_CLEAR(entries[i].prev);
        Py_CLEAR(entries[i].times);
    }
    *count = 0;
}

/* Read the entries of `books`, a tuple of `MOST_BOOKS` at most; -1: an exception. */
static int look_up(PyObject *books, struct entry *entries, Py_ssize_t *count) {
    forget(entries, count);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(books); i++) {
        PyObject *book = PyTuple_GET_ITEM(books, i), *group = PyObject_GetAttr(book, name_group);
        struct entry *entry = &entries[(*count)++];
        entry->group = group == NULL ? -1 : PyLong_AsLong(group);
        Py_XDECREF(group);
        entry->book = Py_NewRef(book);
        entry->prev = PyObject_GetAttr(book, name_prev);
        entry->times = PyObject_GetAttr(book, name_times);
        if (PyErr_Occurred()) return -1;
    }
    return 0;
}

/* Enter one delivery in each of `books`; what is not simply the next in order goes to `enter`. -1: an exception. */
static int enter_books(PyObject *books, struct entry *entries, Py_ssize_t *count, PyObject *held, long slot, long groups,
                       PyObject *now, PyObject *enter) {
    if (*count == 0 && look_up(books, entries, count) < 0) return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(books); i++) {
        struct entry *entry = &entries[i];
        long subscription = slot * groups + entry->group;
        if (subscription < 0 || subscription >= PyList_GET_SIZE(held)) {
            PyErr_SetString(PyExc_IndexError, "a book of a group that no client has");
            return -1;
        }
        if (PyList_GET_ITEM(held, subscription) == entry->prev) {
            if (PyList_Append(entry->times, now) < 0) return -1;
            PyList_SetItem(held, subscription, Py_NewRef(entry->book)); /* cannot fail: a list, and the index is inside */
        } else {
            PyObject *done = PyObject_CallFunction(enter, "llOO", slot, subscription, entry->book, now);
            if (done == NULL) return -1;
            Py_DECREF(done);
            if (look_up(books, entries, count) < 0) return -1;
        }
    }
    return 0;
}

/* Leave an event to Python: other(fd, mask, slot, data, now). Steals `data`; -1: an exception. */
static int leave(PyObject *other, int fd, unsigned mask, long slot, PyObject *data, PyObject *now, struct entry *entries,
                 Py_ssize_t *count) {
    forget(entries, count);
    if (data == NULL) return -1;
    PyObject *done = PyObject_CallFunction(other, "iIlNO", fd, mask, slot, data, now);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static PyObject *sweep(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 8 || !PyList_Check(args[1]) || !PyList_Check(args[2]) || !PyDict_Check(args[7])) {
        PyErr_SetString(PyExc_TypeError, "sweep(poller fd, quick, held, groups, clock, enter, other, parcels)");
        return NULL;
    }
    int poller = (int)PyLong_AsLong(args[0]);
    PyObject *quick = args[1], *held = args[2], *clock = args[4], *enter = args[5], *other = args[6], *parcels = args[7];
    long groups = PyLong_AsLong(args[3]);
    if (PyErr_Occurred()) return NULL;
    struct epoll_event events[MOST_EVENTS];
    struct entry entries[MOST_BOOKS];
    Py_ssize_t entered = 0; /* how many of `entries` are looked up; 0 after a call into Python */
    PyObject *last = NULL, *books = NULL, *now = NULL; /* last: the chunk that `books` belong to */
    int ready = 0, handled = 0, broken = 0;
    for (int i = 0; broken == 0; i++) {
        if (i == ready) { /* all handled: what has become ready meanwhile, as far as the bound allows */
            handled += ready;
            ready = handled < MOST_EVENTS ? epoll_wait(poller, events, MOST_EVENTS - handled, 0) : 0;
            if (ready < 0 && errno != EINTR) {
                PyErr_SetFromErrno(PyExc_OSError);
                broken = -1;
            }
            if (ready <= 0) break;
            i = 0;
        }
        int fd = events[i].data.fd;
        unsigned mask = events[i].events;
        long slot = fd < PyList_GET_SIZE(quick) ? PyLong_AsLong(PyList_GET_ITEM(quick, fd)) : -1;
        if (slot < 0) {
            broken = PyErr_Occurred() ? -1 : leave(other, fd, mask, -1, Py_NewRef(Py_None), Py_None, entries, &entered);
            continue;
        }
        ssize_t size = read(fd, buffer, READ_BYTES);
        if (size <= 0) { /* an end, or an error: nothing there is one too */
            PyObject *said = size == 0 ? PyBytes_FromStringAndSize(NULL, 0) : PyLong_FromLong(errno);
            broken = leave(other, fd, mask, slot, said, Py_None, entries, &entered);
            continue;
        }
        Py_XSETREF(now, time_of(clock));
        PyObject *data = NULL; /* set if the chunk is not one of known books alone */
        if (now == NULL) {
            broken = -1;
        } else if (last == NULL || PyBytes_GET_SIZE(last) != size || memcmp(PyBytes_AS_STRING(last), buffer, size)) {
            data = PyBytes_FromStringAndSize(buffer, size);
            PyObject *parcel = data == NULL ? NULL : PyDict_GetItemWithError(parcels, data);
            PyObject *found = parcel == NULL ? NULL : PyObject_GetAttr(parcel, name_books);
            if (PyErr_Occurred()) {
                broken = -1;
                Py_CLEAR(data);
            } else if (found != NULL && PyTuple_Check(found) && PyTuple_GET_SIZE(found) <= MOST_BOOKS) {
                forget(entries, &entered);
                Py_XSETREF(books, Py_NewRef(found));
                Py_XSETREF(last, data);
                data = NULL;
            }
            Py_XDECREF(found);
        }
        if (data != NULL) {
            broken = leave(other, fd, mask, slot, data, now, entries, &entered);
        } else if (broken == 0) {
            broken = enter_books(books, entries, &entered, held, slot, groups, now, enter);
            if (broken == 0 && ((mask & ENDED) || size == READ_BYTES)) /* more may be waiting, an end too */
                broken = leave(other, fd, mask, slot, Py_NewRef(Py_None), now, entries, &entered);
        }
    }
    forget(entries, &entered);
    Py_XDECREF(last);
    Py_XDECREF(books);
    Py_XDECREF(now);
    return broken < 0 ? NULL : PyLong_FromLong(handled);
}

static PyObject *dial(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    struct sockaddr_in to = {.sin_family = AF_INET}, from = {.sin_family = AF_INET};
    struct rlimit files;
    int one = 1, zero = 0;
    if (count != 10) {
        PyErr_SetString(PyExc_TypeError, "dial(host, port, source, late acks, congestion, first, poller fd, mask when sent, "
                                         "mask else, spare)");
        return NULL;
    }
    const char *host = PyUnicode_AsUTF8(args[0]), *source = args[2] == Py_None ? NULL : PyUnicode_AsUTF8(args[2]);
    long port = PyLong_AsLong(args[1]);
    int late_acks = PyObject_IsTrue(args[3]);
    char *first, *congestion;
    Py_ssize_t size, congestion_size;
    if (PyBytes_AsStringAndSize(args[4], &congestion, &congestion_size) < 0) return NULL;
    if (PyBytes_AsStringAndSize(args[5], &first, &size) < 0) return NULL;
    int poller = (int)PyLong_AsLong(args[6]);
    unsigned when_sent = (unsigned)PyLong_AsUnsignedLongMask(args[7]);
    unsigned otherwise = (unsigned)PyLong_AsUnsignedLongMask(args[8]);
    long spare = PyLong_AsLong(args[9]);
    if (PyErr_Occurred()) return NULL;
    to.sin_port = htons((unsigned short)port);
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1 || (source && inet_pton(AF_INET, source, &from.sin_addr) != 1)) {
        PyErr_SetString(PyExc_ValueError, "dial takes numeric IPv4 addresses");
        return NULL;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return Py_BuildValue("(ii)", -errno, 0);
    /* Lowered while we run, maybe. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY && fd >= (long)files.rlim_cur - spare) {
        close(fd);
        return Py_BuildValue("(ii)", -EMFILE, 0);
    }
    ssize_t sent = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (late_acks) setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof zero);
    if (congestion_size > 0 && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, congestion_size) < 0) goto failed;
    if (source) {
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) goto failed;
    }
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS && errno != EAGAIN && errno != EINTR)
        goto failed;
    if (size > 0) {
        sent = write(fd, first, size);
        if (sent < 0 && errno != EAGAIN) goto failed;
        if (sent < 0) sent = 0;
    }
    struct epoll_event event = {.events = sent == size && size > 0 ? when_sent : otherwise, .data.u64 = (unsigned)fd};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) goto failed;
    return Py_BuildValue("(in)", fd, (Py_ssize_t)sent);
failed:;
    int number = errno;
    close(fd);
    return Py_BuildValue("(ii)", -number, 0);
}

static PyObject *ack_at_once(PyObject *module, PyObject *descriptor) {
    (void)module;
    int fd = (int)PyLong_AsLong(descriptor), one = 1;
    if (PyErr_Occurred()) return NULL;
    if (setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one) < 0) return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"sweep", (PyCFunction)(void (*)(void))sweep, METH_FASTCALL, "See quick.py."},
    {"dial", (PyCFunction)(void (*)(void))dial, METH_FASTCALL, "See quick.py."},
    {"ack_at_once", (PyCFunction)ack_at_once, METH_O, "See quick.py."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_quick", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__quick(void) {
    name_books = PyUnicode_InternFromString("books");
    name_group = PyUnicode_InternFromString("group");
    name_prev = PyUnicode_InternFromString("prev");
    name_times = PyUnicode_InternFromString("times");
    if (!name_books || !name_group || !name_prev || !name_times) return NULL;
    return PyModule_Create(&definition);
}
