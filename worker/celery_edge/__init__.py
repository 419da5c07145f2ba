"""Celery's worker, adapted to the engine.

application       the Celery app, made for given settings
program           Celery's worker program, changed so that several can run on one host
command_line      Celery's command line: each option is obeyed or refused with a reason
starting          the refusal to start, in readable lines
process_file      the file that `--pidfile` names
signals           the worker's answer to signals
leaving           the end of the process, past the interpreter's own
log_lines         the first and the last log line of a worker
consumer          Celery's consumer, whose messages go to the intake instead of a pool
consuming         the step that consumes tasks, from queues of any type
plain_intake      the step for plain JSON jobs on AMQP
acknowledgements  acknowledges many AMQP messages in one frame
beat              the step that tells the engine that Celery's consumer still runs
pacing            pauses between attempts at a connection
tasks             the task that producers name
"""
