class Lisa: pass
