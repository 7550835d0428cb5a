package android.content.pm;

public abstract class PackageManager {
    public abstract PackageInfo getPackageInfo(String packageName, int flags);
}
