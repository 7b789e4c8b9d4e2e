class PromptTuning: pass
