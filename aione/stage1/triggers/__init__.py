"""One module a trigger, named as the trigger, with `evaluate(inputs) -> TriggerResult`; see docs/stage1.md."""
