class Ewc: pass
