#if METAL
using System.Runtime;
using System.Runtime.CompilerServices;
#else
using System;
using System.Collections.Generic;
#endif

namespace Blanket.Machine;

/// <summary>Model-specific registers that this CPU, or the L0 under it, may not have.</summary>
public static unsafe class GuardedMsr
{
#if METAL
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "msr_read_guarded")]
    private static extern uint Read(uint index, ulong* value);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "msr_write_guarded")]
    private static extern uint Write(uint index, ulong value);

    /// <summary>Reads a register; false when it does not exist.</summary>
    public static bool TryRead(uint index, out ulong value)
    {
        ulong read = 0;
        bool exists = Read(index, &read) != 0;
        value = read;
        return exists;
    }

    /// <summary>Writes a register; false when it does not exist or does not take the value.</summary>
    public static bool TryWrite(uint index, ulong value) => Write(index, value) != 0;
#else
    [ThreadStatic]
    private static Dictionary<uint, ulong>? t_simulated;

    /// <summary>The registers that exist on this thread's simulated CPU.</summary>
    public static Dictionary<uint, ulong> Simulated => t_simulated ??= [];

    public static bool TryRead(uint index, out ulong value) => Simulated.TryGetValue(index, out value);

    public static bool TryWrite(uint index, ulong value)
    {
        if (!Simulated.ContainsKey(index))
        {
            return false;
        }

        Simulated[index] = value;
        return true;
    }
#endif
}
