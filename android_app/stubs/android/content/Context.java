package android.content;

public abstract class Context {
    public static final String POWER_SERVICE = "power";
    public static final String BATTERY_SERVICE = "batterymanager";
    public java.io.File getFilesDir() { return null; }
    public Object getSystemService(String name) { return null; }
    public String getPackageName() { return null; }
    public android.content.pm.PackageManager getPackageManager() { return null; }
    public android.content.pm.ApplicationInfo getApplicationInfo() { return null; }
}
