namespace Blanket.Abi.Xen;

/// <summary>HYPERVISOR_callback_op (xen/include/public/callback.h).</summary>
public static class Callback
{
    /// <summary>CALLBACKOP_register, with <see cref="CallbackRegister"/>.</summary>
    public const uint Register = 0;

    /// <summary>CALLBACKOP_unregister, with <see cref="CallbackUnregister"/>.</summary>
    public const uint Unregister = 1;

    public const ushort TypeEvent = 0;
    public const ushort TypeFailsafe = 1;
    public const ushort TypeSyscall = 2;
    public const ushort TypeSysenterDeprecated = 3;
    public const ushort TypeNmi = 4;
    public const ushort TypeSysenter = 5;
    public const ushort TypeSyscall32 = 7;

    /// <summary>CALLBACKF_mask_events: entering the callback masks events.</summary>
    public const ushort MaskEvents = 1;
}

/// <summary>struct callback_register; the address is a plain one on 64-bit x86.</summary>
public struct CallbackRegister
{
    public ushort Type;
    public ushort Flags;
    public uint Padding;
    public ulong Address;
}

/// <summary>struct callback_unregister.</summary>
public struct CallbackUnregister
{
    public ushort Type;
    public ushort Unused;
}
