using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Internal.Runtime;

/// <summary>The head of the compiler's type descriptor: as much as allocation needs.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MethodTable
{
    internal ushort ComponentSize;
    internal ushort Flags;
    internal uint BaseSize;
}
