using Blanket.Core.Domains;

namespace Blanket.Core.Memory;

/// <summary>
/// The CPU's view of the descriptor tables of the vCPU that runs on it (AddressSpace.DescriptorTablesBase); the code that
/// loads vCPUs provides it.
/// </summary>
public abstract class DescriptorWindow
{
    /// <summary>The window of this machine's CPUs; null in host tests.</summary>
    public static DescriptorWindow? Current { get; set; }

    /// <summary>
    /// Maps <see cref="Vcpu.GdtFrames"/> of the vCPU that runs on this CPU (writable: the CPU sets accessed bits in descriptors), a zeroed
    /// frame in place of 0, and drops this CPU's translations of what was there.
    /// </summary>
    public abstract void ReloadGdt(Vcpu running);

    /// <summary>
    /// Maps <see cref="Vcpu.LdtFrames"/> of the vCPU that runs on this CPU, nothing in place of 0, drops this CPU's
    /// translations of what was there, and loads the LDT register for <see cref="Vcpu.LdtEntries"/>.
    /// </summary>
    public abstract void ReloadLdt(Vcpu running);
}
