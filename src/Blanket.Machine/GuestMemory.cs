using System;
using System.Runtime.CompilerServices;
#if METAL
using System.Runtime;
#endif

namespace Blanket.Machine;

/// <summary>
/// The running guest's linear memory: hypercall arguments ("guest handles"). Addresses are checked, faults are
/// caught (Assembly/guest_copy.S) and reported as false, which hypercalls turn into -EFAULT. Copies are single: check the copy.
/// </summary>
public static unsafe class GuestMemory
{
#if METAL
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "guest_copy")]
    private static extern ulong CopyUntilFault(void* destination, void* source, ulong length);
#else
    [ThreadStatic]
    private static byte[]? t_simulated;

    [ThreadStatic]
    private static ulong t_simulatedBase;

    /// <summary>Simulates the running guest's memory: <paramref name="memory"/> appears at a linear address.</summary>
    public static void Simulate(ulong address, byte[] memory)
    {
        t_simulated = memory;
        t_simulatedBase = address;
    }

    private static bool IsMapped(ulong address, ulong length) =>
        t_simulated != null && address >= t_simulatedBase && length <= (ulong)t_simulated.Length
        && address - t_simulatedBase <= (ulong)t_simulated.Length - length;

    private static byte* SimulatedAddress(byte* pinned, ulong address) => pinned + (address - t_simulatedBase);
#endif

    /// <summary>Copies one structure from the guest.</summary>
    /// <returns>False when the address is not the guest's or faults.</returns>
    public static bool TryRead<T>(ulong address, out T value) where T : unmanaged
    {
        value = default;
        fixed (T* destination = &value)
        {
            return TryReadRaw(destination, address, (ulong)sizeof(T));
        }
    }

    /// <summary>Copies one structure to the guest.</summary>
    public static bool TryWrite<T>(ulong address, in T value) where T : unmanaged
    {
        fixed (T* source = &value)
        {
            return TryWriteRaw(address, source, (ulong)sizeof(T));
        }
    }

    /// <summary>Copies bytes from the guest; on false the destination's contents are undefined.</summary>
    public static bool TryRead(ulong address, Span<byte> destination)
    {
        fixed (byte* bytes = destination)
        {
            return TryReadRaw(bytes, address, (uint)destination.Length);
        }
    }

    /// <summary>Copies bytes to the guest; on false a part may have been written.</summary>
    public static bool TryWrite(ulong address, ReadOnlySpan<byte> source)
    {
        fixed (byte* bytes = source)
        {
            return TryWriteRaw(address, bytes, (uint)source.Length);
        }
    }

    /// <summary>One element of a guest's array.</summary>
    public static bool TryReadElement<T>(ulong array, ulong index, out T value) where T : unmanaged =>
        TryRead(unchecked(array + index * (ulong)sizeof(T)), out value);

    /// <summary>One element of a guest's array.</summary>
    public static bool TryWriteElement<T>(ulong array, ulong index, in T value) where T : unmanaged =>
        TryWrite(unchecked(array + index * (ulong)sizeof(T)), in value);

    private static bool TryReadRaw(void* destination, ulong address, ulong length)
    {
        if (!AddressSpace.IsGuestRange(address, length))
        {
            return false;
        }
#if METAL
        return CopyUntilFault(destination, (void*)address, length) == 0;
#else
        if (!IsMapped(address, length))
        {
            return false;
        }

        fixed (byte* memory = t_simulated)
        {
            Unsafe.CopyBlockUnaligned(destination, SimulatedAddress(memory, address), (uint)length);
        }

        return true;
#endif
    }

    private static bool TryWriteRaw(ulong address, void* source, ulong length)
    {
        if (!AddressSpace.IsGuestRange(address, length))
        {
            return false;
        }
#if METAL
        return CopyUntilFault((void*)address, source, length) == 0;
#else
        if (!IsMapped(address, length))
        {
            return false;
        }

        fixed (byte* memory = t_simulated)
        {
            Unsafe.CopyBlockUnaligned(SimulatedAddress(memory, address), source, (uint)length);
        }

        return true;
#endif
    }
}
