export interface Schemas { User: any; Organization: any; Permission: any }
