class PrefixTuning: pass
