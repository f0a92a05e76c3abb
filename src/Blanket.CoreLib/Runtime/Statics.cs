using System;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Internal.Runtime;

/// <summary>
/// Gives static fields of reference type their storage. The compiler describes it in the ReadyToRun header of the
/// module (ILCompiler: ReadyToRunHeaderNode, GCStaticsNode).
/// </summary>
public static unsafe class Statics
{
    private const uint ReadyToRunSignature = 0x00525452; // "RTR"
    private const int GCStaticRegion = 201;
    private const long Uninitialized = 1;
    private const long HasPreInitializedData = 2;
    private const long FlagMask = 3;

    private struct Header
    {
        internal uint Signature;
        internal ushort MajorVersion;
        internal ushort MinorVersion;
        internal uint Flags;
        internal ushort NumberOfSections;
        internal byte EntrySize;
        internal byte EntryType;
    }

    private struct Section
    {
        internal int Id;
        internal int Flags;
        internal byte* Start;
        internal byte* End;
    }

    /// <summary>Call once, in an allocation scope, before any static field of reference type is used.</summary>
    /// <param name="modules">Start of the linker's __modules section: pointers to module headers.</param>
    /// <param name="modulesEnd">Its end.</param>
    /// <returns>False when the header is not the one this source was written for.</returns>
    public static bool Initialize(void** modules, void** modulesEnd)
    {
        for (void** module = modules; module < modulesEnd; module++)
        {
            Header* header = (Header*)*module;
            if (header == null)
            {
                continue;
            }

            if (header->Signature != ReadyToRunSignature)
            {
                return false;
            }

            Section* sections = (Section*)(header + 1);
            for (int i = 0; i < header->NumberOfSections; i++)
            {
                if (sections[i].Id == GCStaticRegion)
                {
                    InitializeRegion(sections[i].Start, sections[i].End);
                }
            }
        }

        return true;
    }

    private static void InitializeRegion(byte* start, byte* end)
    {
        for (int* entry = (int*)start; entry < (int*)end; entry++)
        {
            // Relative pointers: a 32-bit distance from where it stands.
            long* storage = (long*)((byte*)entry + *entry);
            int* relative = (int*)storage;
            long description = (long)((byte*)relative + *relative);
            if ((description & Uninitialized) == 0)
            {
                continue;
            }

            MethodTable* type = (MethodTable*)(description & ~FlagMask);
            void** instance = (void**)New(type);
            if ((description & HasPreInitializedData) != 0)
            {
                long* data = (long*)((byte*)(relative + 1) + relative[1]);
                for (uint word = 0; word < (type->BaseSize - 16) / 8; word++)
                {
                    ((long*)instance)[1 + word] = data[word];
                }
            }

            *storage = (long)instance;
        }
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "RhpNewFast")]
    private static extern void* New(MethodTable* type);
}
