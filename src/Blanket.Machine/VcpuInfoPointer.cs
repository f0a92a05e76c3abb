namespace Blanket.Machine;

/// <summary>Where entry code finds a vCPU's struct vcpu_info.</summary>
public static unsafe class VcpuInfoPointer
{
    /// <summary>Points a vCPU's state to the 64 bytes at a physical address; 0 for none.</summary>
    public static void Set(ref VcpuState state, ulong physical) =>
        state.VcpuInfo = physical == 0 ? null : (byte*)PhysicalMemory.LinearAddress(physical, 64);
}
