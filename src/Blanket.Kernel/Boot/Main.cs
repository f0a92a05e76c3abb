using System.Runtime;
using System.Runtime.CompilerServices;

namespace Blanket.Kernel.Boot;

internal abstract class Greeter
{
    internal abstract void Say(System.ReadOnlySpan<byte> text);
}

internal sealed class SerialGreeter : Greeter
{
    private int _count;

    internal override void Say(System.ReadOnlySpan<byte> text)
    {
        foreach (byte b in text)
        {
            Main.Out(0x3f8, b);
        }
        _count++;
    }
}

internal static unsafe class Main
{
    private static Greeter? s_greeter;
    private static int[]? s_array;
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "port_write8")]
    internal static extern void Out(ushort port, byte value);
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "modules_start_address")]
    private static extern void** ModulesStart();
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "modules_end_address")]
    private static extern void** ModulesEnd();

    [RuntimeExport("boot_main")]
    private static void Run(uint protocol, uint info)
    {
        Internal.Runtime.Allocation.Enter(unchecked((nuint)0xffff830002000000), unchecked((nuint)0xffff830002100000), null);
        Internal.Runtime.Statics.Initialize(ModulesStart(), ModulesEnd());
        s_greeter = new SerialGreeter();
        s_array = new int[10];
        s_greeter.Say("Blanket is alive\n"u8);
        s_array[3] = (int)protocol;
        if (s_array[3] == 1) s_greeter.Say("PVH\n"u8);
    }
}
