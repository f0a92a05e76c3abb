using System.Numerics;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>Masks of vCPUs that guests pass to flush the TLBs of the CPUs that these run on.</summary>
internal static class VcpuMask
{
    /// <summary>Reads a mask of one bit a vCPU.</summary>
    /// <param name="domain">The caller's domain.</param>
    /// <param name="address">Linear address of the mask: as many 64-bit words as its vCPUs need.</param>
    /// <param name="cpus">The CPUs whose TLBs may hold translations of these vCPUs.</param>
    /// <returns>False when the mask cannot be read.</returns>
    internal static bool TryRead(Domain domain, ulong address, out CpuSet cpus)
    {
        cpus = default;
        for (int first = 0; first < domain.Vcpus.Length; first += 64)
        {
            if (!GuestMemory.TryReadElement(address, (ulong)first >> 6, out ulong mask))
            {
                cpus = default;
                return false;
            }

            while (mask != 0)
            {
                int id = first + BitOperations.TrailingZeroCount(mask);
                mask &= mask - 1;
                Vcpu? vcpu = id < domain.Vcpus.Length ? domain.Vcpus[id] : null;
                int cpu = vcpu == null ? -1 : vcpu.DirtyCpu;
                if (cpu >= 0)
                {
                    cpus.Add(cpu);
                }
            }
        }

        return true;
    }
}
