/* The whole policy ABI. Read in this order: base, rows, events, view, then your kind, then plugin. */
#ifndef SERVELOOP_SERVELOOP_H
#define SERVELOOP_SERVELOOP_H

#include <serveloop/base.h>
#include <serveloop/cost.h>
#include <serveloop/events.h>
#include <serveloop/eviction.h>
#include <serveloop/ext/error.h>
#include <serveloop/ext/state.h>
#include <serveloop/plugin.h>
#include <serveloop/precision.h>
#include <serveloop/preemption.h>
#include <serveloop/reasons.h>
#include <serveloop/rows.h>
#include <serveloop/scheduler.h>
#include <serveloop/view.h>

#endif
