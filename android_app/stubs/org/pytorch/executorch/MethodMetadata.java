package org.pytorch.executorch;

public class MethodMetadata {
    public String[] getBackends() { return null; }
}
