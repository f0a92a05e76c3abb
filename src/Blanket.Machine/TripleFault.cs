#if METAL
using System.Runtime;
using System.Runtime.CompilerServices;
#endif

namespace Blanket.Machine;

/// <summary>The last way to reset a machine: an exception that no handler can be found for, three times over.</summary>
public static class TripleFault
{
#if METAL
    /// <summary>Shuts the CPU down, which resets the machine.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "triple_fault")]
    public static extern void Cause();
#else
    /// <summary>Stands still, as after <see cref="Cpu.Stop"/>.</summary>
    public static void Cause() => Cpu.Stop();
#endif
}
