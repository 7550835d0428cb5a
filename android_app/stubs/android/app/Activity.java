package android.app;

public class Activity extends android.content.Context {
    protected void onCreate(android.os.Bundle savedInstanceState) {}
    public android.content.Intent getIntent() { return null; }
    public android.view.Window getWindow() { return null; }
    public void setContentView(android.view.View view) {}
    public final void runOnUiThread(Runnable action) {}
}
