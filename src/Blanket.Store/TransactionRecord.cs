namespace Blanket.Store;

/// <summary>An open transaction.</summary>
internal struct TransactionRecord
{
    /// <summary>Bytes that a record takes, as it is charged.</summary>
    internal const int Footprint = 40;

    /// <summary>Identifier that the client uses; unique in its connection, never 0.</summary>
    internal uint Id;

    /// <summary>Next transaction of the connection.</summary>
    internal int Next;

    /// <summary>Previous transaction of the connection.</summary>
    internal int Previous;

    /// <summary>Oldest copy.</summary>
    internal int FirstCopy;

    /// <summary>Youngest copy; making or removing a node moves its copy here, so that the list can be committed in order.</summary>
    internal int LastCopy;

    /// <summary>Copies.</summary>
    internal int CopyCount;

    /// <summary>It ran out of quota or memory half-way, and can only end with an error.</summary>
    internal bool Failed;
}
