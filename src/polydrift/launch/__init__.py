"""Where steps run. `worker.work` does one batch; a launcher decides in which process or machine.

    run.py ── batches of ready steps ──> Launcher ──> worker.work(batch) ──> outcomes

`local` uses processes of this machine.
"""
