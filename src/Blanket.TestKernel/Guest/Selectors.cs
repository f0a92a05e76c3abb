using System.Runtime;
using System.Runtime.CompilerServices;

namespace Blanket.TestKernel;

/// <summary>Data segment registers.</summary>
internal static unsafe class Selectors
{
    /// <summary>The function that loads ds, es, fs or gs (0 to 3) with its first argument, for a guarded call.</summary>
    internal static ulong LoaderOf(int register) => Loaders()[register];

    /// <summary>Null in all of them.</summary>
    internal static void Reset()
    {
        for (int i = 0; i < 4; i++)
        {
            Trap.GuardedCall(LoaderOf(i), 0, 0);
        }
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "selector_loaders_address")]
    private static extern ulong* Loaders();
}
