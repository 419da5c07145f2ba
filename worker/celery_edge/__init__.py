"""Celery's worker, fitted to the engine.

program           Celery's worker program, started so that several on one host work
command_line      Celery's command line: each option is obeyed or refused with its reason
starting          how the program refuses to start
process_file      the file that `--pidfile` names
signals           what a worker says when it is sent a signal
log_lines         the first and the last log line of a worker
consumer          Celery's consumer, whose messages go to the intake instead of a pool
consuming         the step that consumes tasks, from queues of any kind
plain_intake      the step for plain JSON jobs on AMQP
acknowledgements  acknowledges many AMQP messages in one frame
beat              the step that tells the engine that Celery's consumer still turns
pacing            pauses between attempts at a connection
tasks             the task that producers name
"""
