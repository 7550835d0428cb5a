package android.os;

public final class PowerManager {
    public int getCurrentThermalStatus() { return 0; }
    public boolean isPowerSaveMode() { return false; }
}
